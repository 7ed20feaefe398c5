"""How many states an Ising torus has at each energy: exact integers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
from scipy.special import logsumexp

from energax._errors import ArgumentError, NotTractable

MAX_SITES = 4096


@dataclasses.dataclass(frozen=True)
class DensityOfStates:
    """The number of states of a discrete system at each energy.

    Attributes:
        energies: The energies that occur, ascending, shape (m,).
        counts: Number of states at each of them: Python integers of any size.
    """

    energies: np.ndarray
    counts: tuple[int, ...]

    @property
    def log_counts(self) -> np.ndarray:
        """Logarithms of the counts, float64."""
        return np.asarray([math.log(count) for count in self.counts])

    def log_z(self, beta: float) -> float:
        """Log Σ_E g(E) e^(−βE), any β."""
        return float(np.asarray(logsumexp(self.log_counts - beta * self.energies)))

    def energy(self, beta: float) -> float:
        """Mean energy at β."""
        return float(self._law(beta) @ self.energies)

    def heat_capacity(self, beta: float) -> float:
        """β² Var E."""
        law = self._law(beta)
        return beta**2 * float(law @ (self.energies - law @ self.energies) ** 2)

    def _law(self, beta: float) -> np.ndarray:
        return np.exp(self.log_counts - beta * self.energies - self.log_z(beta))


def ising_density_of_states(shape: tuple[int, int]) -> DensityOfStates:
    """The states of E(s) = −Σ_<ij> s_i s_j on a torus, counted (Beale's numbers), bonds as in `ising_torus`.

    With y = e^(−2K), Kaufman's sum of four products is a polynomial, 2 Σ_j g_j y^j with j the number of unsatisfied
    bonds. Its factors hold cosines of πk/L, which are sums of two roots of unity, and these exist modulo primes too:
    the polynomial is evaluated at powers of another root of unity modulo enough primes below 2^31, transformed back,
    and the integers are put together by the Chinese remainder theorem.

    Exactness: exact integers.
    Cost: O(n² log n) for n sites: 32 × 32 in a second, 64 × 64 in half a minute.

    Args:
        shape: Lengths of the axes, each at least 2, at most 4096 sites.

    Returns:
        `DensityOfStates`.

    Raises:
        ArgumentError: Lengths below 2.
        NotTractable: More than 4096 sites.

    Example:
        >>> ising_density_of_states((2, 2)).counts
        (2, 12, 2)

    References:
        [beale1996], [kaufman1949]
    """
    length, width = (int(n) for n in shape)
    if min(length, width) < 2:
        raise ArgumentError(f"The torus needs axes of length 2 or more, got shape={shape}.")
    sites = length * width
    if sites > MAX_SITES:
        raise NotTractable(f"A torus of {sites} sites has more than {MAX_SITES}; `ising_torus` has no limit.")
    size = 1 << (2 * sites + 1).bit_length()
    primes = np.asarray(list(_primes(size * 2 * length // math.gcd(size, 2 * length), sites)))[:, None]
    y = _powers(np.asarray([_root(int(p), size) for p in primes[:, 0]])[:, None], primes, size)
    total = _four_products(y, primes, length, width)
    residues = _inverse_transform(total, y, primes)[:, : 2 * sites + 1]
    half = (primes + 1) // 2
    counts = _integers(residues * half % primes, primes[:, 0].tolist())
    kept = [j for j, count in enumerate(counts) if count]
    return DensityOfStates(np.asarray([2 * j - 2 * sites for j in kept]), tuple(counts[j] for j in kept))


def _four_products(y: np.ndarray, p: np.ndarray, length: int, width: int) -> np.ndarray:
    """Kaufman's four products at the points y, modulo p, times the power of y that makes them polynomials.

    The angles k and 2L − k share a γ, so that their factors pair up to τ_M ± 2 r^M with r = y (1 − y²) and
    τ_m = (2 y² sinh 2K)^m 2 cosh mγ_k, and τ_1 = (1 + y²)² − 2 cos(πk/L) r.
    """
    square = y * y % p
    r = y * (1 - square) % p
    r_width, both = _power(r, width, p), (1 + square) * (1 + square) % p
    roots = np.asarray([_root(int(prime), 2 * length) for prime in p[:, 0]])[:, None]
    total = np.zeros_like(y)
    for start in (1, 0):
        products = [np.ones_like(y), np.ones_like(y)]
        for k in range(start, length + 1, 2):
            if 0 < k < length:
                cosine = (_power(roots, k, p) + _power(roots, 2 * length - k, p)) % p
                tau = _chebyshev((both - cosine * r) % p, r * r % p, width, p)
                factors = tau + 2 * r_width, tau - 2 * r_width
            else:
                factors = _single(y, k, width, p)
            products = [product * (factor % p) % p for product, factor in zip(products, factors, strict=True)]
        total = (total + products[0] + products[1]) % p
    return total


def _chebyshev(one: np.ndarray, r2: np.ndarray, width: int, p: np.ndarray) -> np.ndarray:
    """τ_M of τ_{m+1} = τ_1 τ_m − r² τ_{m−1} with τ_0 = 2, by doubling m and adding one."""
    low, high, power = np.full_like(one, 2), one, np.ones_like(one)
    for bit in bin(width)[2:]:
        # From (τ_m, τ_{m+1}) and r^{2m} to twice m, or to twice m and one.
        middle = (low * high - power * one) % p
        if bit == "1":
            low, high = middle, (high * high - 2 * (power * r2 % p)) % p
            power = power * power % p * r2 % p
        else:
            low, high = (low * low - 2 * power) % p, middle
            power = power * power % p
    return low


def _single(y: np.ndarray, k: int, width: int, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The factors of k = 0 and k = L, whose γ has a closed form: (1 ∓ y)^M ± y^M (1 ± y)^M."""
    sign = -1 if k == 0 else 1
    first = _power((1 + sign * y) % p, width, p)
    second = _power(y, width, p) * _power((1 - sign * y) % p, width, p) % p
    return first + second, first - second


def _power(base: np.ndarray, exponent: int, p: np.ndarray) -> np.ndarray:
    result, square = np.ones_like(base), base % p
    while exponent:
        if exponent & 1:
            result = result * square % p
        square, exponent = square * square % p, exponent >> 1
    return result


def _powers(root: np.ndarray, p: np.ndarray, size: int) -> np.ndarray:
    """1, w, w² ... w^(size − 1) for each prime."""
    powers = np.ones((len(p), 1), np.int64)
    step = root
    while powers.shape[1] < size:
        powers = np.concatenate([powers, powers * step % p], axis=1)
        step = step * step % p
    return powers


def _inverse_transform(values: np.ndarray, powers: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Coefficients of the polynomial with these values at 1, w, w² ..., modulo each prime (radix-2)."""
    size = values.shape[1]
    bits = size.bit_length() - 1
    order = np.zeros(size, np.int64)
    for bit in range(bits):
        order |= ((np.arange(size) >> bit) & 1) << (bits - 1 - bit)
    a = values[:, order]
    inverse_powers = powers[:, -np.arange(size) % size]
    for stage in range(1, bits + 1):
        block = 1 << stage
        twiddles = inverse_powers[:, :: size // block][:, None, : block // 2]
        a = a.reshape(len(p), -1, block)
        even, odd = a[..., : block // 2], a[..., block // 2 :] * twiddles % p[:, None]
        a = np.concatenate([even + odd, even - odd], axis=2) % p[:, None]
        a = a.reshape(len(p), size)
    inverse_size = np.asarray([pow(size, -1, int(prime)) for prime in p[:, 0]])[:, None]
    return a * inverse_size % p


def _primes(multiple: int, bits: int) -> Iterator[int]:
    """Primes 1 + c · multiple below 2^31, largest first, until their product exceeds 2^(bits + 1)."""
    product, candidate = 1, (2**31 - 2) // multiple * multiple + 1
    while product.bit_length() <= bits + 1:
        if candidate < 2**20:
            raise NotTractable(f"There are not enough primes for a torus of {bits} sites.")
        if _is_prime(candidate):
            product *= candidate
            yield candidate
        candidate -= multiple


def _is_prime(n: int) -> bool:
    """Strong pseudoprimes to the bases 2, 3, 5 and 7 below 3.2e9 are prime [jaeschke1993]."""
    twos = ((n - 1) & (1 - n)).bit_length() - 1
    for base in (2, 3, 5, 7):
        x = pow(base, (n - 1) >> twos, n)
        if x in (1, n - 1):
            continue
        for _ in range(twos - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def _root(p: int, order: int) -> int:
    """A primitive root of unity of that order modulo p."""
    factors = [q for q in range(2, order + 1) if order % q == 0 and all(q % d for d in range(2, math.isqrt(q) + 1))]
    for base in range(2, p):
        root = pow(base, (p - 1) // order, p)
        if all(pow(root, order // q, p) != 1 for q in factors):
            return root
    raise AssertionError(f"{p} has no root of unity of order {order}.")


def _integers(residues: np.ndarray, primes: list[int]) -> list[int]:
    """The integers below the product of the primes with these residues (Chinese remainder theorem)."""
    product = math.prod(primes)
    basis = [product // p * pow(product // p, -1, p) for p in primes]
    return [sum(map(int.__mul__, column, basis)) % product for column in residues.T.tolist()]
