"""The energax battery: statistical tests of 32-bit random words, for every stream that the library makes of a key.

Each test maps an array of uint32 to one p-value, already corrected (Bonferroni) for the comparisons inside the test, so
that `p < FALSE_ALARM` is one assertion with that false-alarm probability. p-values are two-sided: numbers that are too
even are as wrong as uneven ones. What each test sees is in src/energax/random/README.md.

Distributions at 1e-6 are only as good as their approximations: cells hold at least 50 expected counts, rare events are
Poisson with exact means, and the other statistics are sums of bounded terms.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import stats

FALSE_ALARM = 1e-6
LEAST_COUNT = 50

Words = np.ndarray
Test = Callable[[Words], float]


def worst(p_values) -> float:
    """The smallest of several p-values, corrected for their number."""
    p = np.asarray(p_values, float).ravel()
    return float(min(1.0, p.size * p.min()))


def two_sided(below, above) -> float:
    return min(1.0, 2 * float(min(below, above)))


def of_z(z) -> float:
    return worst(2 * stats.norm.sf(np.abs(z)))


def of_fit(observed, probabilities) -> float:
    """Pearson's test of counts against a law, after merging neighbouring cells with few expected counts."""
    seen, expected = np.asarray(observed, float).ravel(), np.asarray(probabilities, float).ravel() * np.sum(observed)
    if expected.min() < LEAST_COUNT:
        block = np.minimum(
            (np.cumsum(expected) - expected / 2) / LEAST_COUNT, expected.sum() // LEAST_COUNT - 1
        ).astype(int)
        _, block = np.unique(block, return_inverse=True)
        seen, expected = np.bincount(block, seen), np.bincount(block, expected)
    chi2 = ((seen - expected) ** 2 / expected).sum()
    return two_sided(stats.chi2.cdf(chi2, seen.size - 1), stats.chi2.sf(chi2, seen.size - 1))


def of_poisson(count, mean: float) -> float:
    return two_sided(stats.poisson.cdf(count, mean), stats.poisson.sf(count - 1, mean))


def bits_of(words: Words) -> np.ndarray:
    """Bit j of every word in row j."""
    return np.stack([(words >> np.uint32(j)) & np.uint32(1) for j in range(32)]).astype(np.uint8)


def count_bits(words: Words) -> np.ndarray:
    """How many words have bit j, for each j."""
    little = words.astype("<u4").view(np.uint8).reshape(-1, 4)
    table = np.stack([np.bincount(little[:, byte], minlength=256) for byte in range(4)])
    has = (np.arange(256)[:, None] >> np.arange(8)) & 1
    return (table @ has).ravel()


def reverse_bits(words: Words) -> Words:
    little = words.astype("<u4").view(np.uint8).reshape(-1, 4)
    reverse = np.packbits(np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)[:, ::-1], axis=1).ravel()
    return np.ascontiguousarray(reverse[little][:, ::-1]).view("<u4").ravel().astype(np.uint32)


def fractions(words: Words) -> np.ndarray:
    return (words.astype(np.float64) + 0.5) / 2**32


def lags(size: int) -> list[int]:
    """Lags 1 to 16, and the neighbours of the powers of two up to a quarter of the data."""
    powers = [2**k for k in range(5, 32) if 2**k <= size // 4]
    return sorted({*range(1, 17), *powers, *(p - 1 for p in powers), *(p + 1 for p in powers)})


def bit_frequency(words: Words) -> float:
    return of_z((count_bits(words) - words.size / 2) / np.sqrt(words.size / 4))


def byte_frequency(words: Words) -> float:
    little = words.astype("<u4").view(np.uint8).reshape(-1, 4)
    return worst([of_fit(np.bincount(little[:, k], minlength=256), np.full(256, 1 / 256)) for k in range(4)])


def uniform_law(words: Words) -> float:
    u = fractions(words)
    moments = [((u - 0.5) ** k).mean() for k in (1, 2, 3, 4)]
    exact = [0, 1 / 12, 0, 1 / 80]
    spread = [1 / 12, 1 / 80 - 1 / 144, 1 / 448, 1 / 2304 - 1 / 6400]
    z = [(m - e) / np.sqrt(s / u.size) for m, e, s in zip(moments, exact, spread, strict=True)]
    return worst([of_z(z), stats.kstest(u, "uniform", method="asymp").pvalue])


def serial_correlation(words: Words) -> float:
    """Autocorrelation of the words, and of their low bytes, at every lag at once."""
    found = []
    for series in (
        fractions(words) - 0.5,
        ((words & np.uint32(255)).astype(float) - 127.5) / np.sqrt((2**16 - 1) / 12),
    ):
        power = np.abs(np.fft.rfft(series)) ** 2
        z = np.fft.irfft(power, series.size) / (np.sqrt(series.size) * series.var())
        found += [of_z(z[lags(words.size)]), of_z(z[1 : words.size // 2])]
    return worst(found)


def spectrum(words: Words) -> float:
    """The largest line of the periodogram; of an independent sequence every line is exponential."""
    u = fractions(words) - 0.5
    lines = np.abs(np.fft.rfft(u)[1:-1]) ** 2 / (u.size / 12)
    return worst([np.exp(-lines.max()) * lines.size, 1])


def bit_lags(words: Words) -> float:
    """Each bit against the same bit at many lags, and against the bit beside it in the next words."""

    def pairs(lag):
        near, far = words[:-lag], words[lag:]
        return near ^ far, near ^ (far >> np.uint32(1) | far << np.uint32(31))

    some = [lag for lag in lags(words.size) if lag <= 16 or lag & (lag - 1) == 0]
    return of_z([(count_bits(pair) - pair.size / 2) / np.sqrt(pair.size / 4) for lag in some for pair in pairs(lag)])


def runs(words: Words) -> float:
    """Lengths of runs of equal bits at each position, and the number of runs up and down of the words."""
    found = []
    for row in bits_of(words):
        ends = np.flatnonzero(np.diff(row))
        lengths = np.minimum(np.diff(ends), 12)
        law = 0.5 ** np.arange(1, 13)
        law[-1] *= 2
        found.append(of_fit(np.bincount(lengths, minlength=13)[1:], law))
    rises = words[1:] > words[:-1]
    turns = np.count_nonzero(rises[1:] != rises[:-1]) + 1
    n = words.size
    return worst([*found, of_z((turns - (2 * n - 1) / 3) / np.sqrt((16 * n - 29) / 90))])


def order(words: Words) -> float:
    """The order of four successive words, and of the same words read backwards bit by bit."""
    found = []
    for w in (words, reverse_bits(words)):
        four = np.argsort(w[: w.size // 4 * 4].reshape(-1, 4), axis=1, kind="stable")
        kind = np.unique(four @ np.array([64, 16, 4, 1]), return_counts=True)[1]
        found.append(of_fit(np.pad(kind, (0, 24 - kind.size)), np.full(24, 1 / 24)))
    return worst(found)


def gap(words: Words) -> float:
    """Waiting times between words whose four top bits, or four low bits, are zero."""
    found = []
    edges = np.unique(np.ceil(np.log1p(-np.arange(1, 32) / 32) / np.log(15 / 16))).astype(int)
    law = np.diff(np.concatenate([[0], 1 - (15 / 16) ** edges, [1]]))
    for hit in (words >> np.uint32(28) == 0, words & np.uint32(15) == 0):
        waits = np.diff(np.flatnonzero(hit))
        found.append(of_fit(np.bincount(np.searchsorted(edges, waits), minlength=law.size), law))
    return worst(found)


def poker(words: Words) -> float:
    """How many different nibbles a word has, and eight successive words have in the same place."""
    law = np.array([1.0])  # of the number of different values, drawing one at a time from 16
    for _ in range(8):
        stay = np.append(law, 0) * np.arange(law.size + 1) / 16
        law = stay + np.concatenate([[0], law * (16 - np.arange(law.size)) / 16])
    found = []
    nibbles = [(words >> np.uint32(4 * j)) & np.uint32(15) for j in range(8)]
    hands = [nibbles, *([row[k::8][: words.size // 8] for k in range(8)] for row in (nibbles[0], nibbles[7]))]
    for hand in hands:
        seen = np.zeros(hand[0].size, np.uint32)
        for value in hand:
            seen |= np.uint32(1) << value
        different = np.bitwise_count(seen)
        found.append(of_fit(np.bincount(different, minlength=9)[1:], law[1:]))
    return worst(found)


def windows(words: Words, width: int) -> list[Words]:
    """`width` bits of every word: the top ones, the low ones and those in the middle."""
    mask = np.uint32(2**width - 1)
    return [(words >> np.uint32(shift)) & mask for shift in {32 - width, (32 - width) // 2, 0}]


def collisions(words: Words) -> float:
    """Repeated values among all words, and among 2**14 successive parts of 24 bits."""

    def repeats(rows):
        ordered = np.sort(rows, axis=1)
        return np.count_nonzero(ordered[:, 1:] == ordered[:, :-1])

    def mean(balls, cells):
        return balls + cells * np.expm1(balls * np.log1p(-1 / cells))

    found = [of_poisson(repeats(words[None]), mean(words.size, 2.0**32))]
    rows = words.size // 2**14
    many = rows * mean(2**14, 2.0**24)
    found += [of_poisson(repeats(w[: rows * 2**14].reshape(rows, -1)), many) for w in windows(words, 24)]
    return worst(found)


def birthday_spacings(words: Words) -> float:
    """Equal distances between neighbours of a sorted block: 4096 words of 32 bits, or 512 of 24 bits."""
    found = []
    for width, block in ((32, 4096), (24, 512)):
        for part in windows(words, width):
            rows = part[: part.size // block * block].reshape(-1, block)
            spacings = np.sort(np.diff(np.sort(rows, axis=1), axis=1), axis=1)
            equal = np.count_nonzero(spacings[:, 1:] == spacings[:, :-1])
            found.append(of_poisson(equal, len(rows) * block**3 / 2.0 ** (width + 2)))
    return worst(found)


def ranks(matrices: np.ndarray) -> np.ndarray:
    """Ranks over GF(2) of 32x32 matrices, given as rows of words, shape (number, 32)."""
    rows = matrices.T.copy()
    rank = np.zeros(rows.shape[1], int)
    alive = np.ones(rows.shape, bool)
    for column in range(32):
        has = ((rows >> np.uint32(column)) & np.uint32(1)).astype(bool)
        candidates = has & alive
        pivot, exists = candidates.argmax(0), candidates.any(0)
        value = np.where(exists, rows[pivot, np.arange(rows.shape[1])], np.uint32(0))
        rows ^= np.where(has, value, np.uint32(0))
        alive[pivot[exists], np.flatnonzero(exists)] = False
        rank += exists
    return rank


def transpose_bits(words: Words) -> np.ndarray:
    """Row j: bit j of 32 successive words as one word. Shape (32, size // 32)."""
    rows = bits_of(words[: words.size // 32 * 32]).reshape(32, -1, 32)
    return np.packbits(rows, axis=-1, bitorder="little").view("<u4")[..., 0].astype(np.uint32)


def matrix_rank(words: Words) -> float:
    """Ranks of 32 successive words, and of 1024 successive bits of one position."""
    full = np.prod(1 - 0.5 ** np.arange(1, 33))
    i = np.arange(31)  # the number of matrices of rank 31, over that of all matrices
    one_less = 0.5 * np.prod((1 - 2.0 ** (i - 32)) ** 2 / (1 - 2.0 ** (i - 31)))
    law = np.array([full, one_less, 1 - full - one_less])
    across = transpose_bits(words)
    square = (words[: words.size // 32 * 32], across[:, : across.shape[1] // 32 * 32])
    missing = [np.minimum(32 - ranks(w.reshape(-1, 32)), 2) for w in square]
    return worst([of_fit(np.bincount(m, minlength=3), law) for m in missing])


def hamming(words: Words) -> float:
    """Weights (numbers of ones) of two words at several lags: dense and sparse words that follow one another."""
    cuts = np.array([14, 15, 16, 17, 18, 19])
    cell = np.searchsorted(cuts, np.bitwise_count(words), side="right")
    edges = stats.binom.cdf(np.concatenate([[-1], cuts - 1, [32]]), 32, 0.5)
    law = np.outer(np.diff(edges), np.diff(edges))
    found = []
    for lag in [lag for lag in lags(words.size) if lag & (lag - 1) == 0]:
        pairs = cell[: cell.size // (2 * lag) * 2 * lag].reshape(-1, 2, lag)
        found.append(of_fit(np.bincount((7 * pairs[:, 0] + pairs[:, 1]).ravel(), minlength=49), law))
    return worst(found)


def equidistribution(words: Words) -> float:
    """Cells of the unit square, cube and hypercube, of the cube's low digits, and small cells at the left edge."""
    found = []
    for w in (words, reverse_bits(words)):
        for d in (2, 3, 4, 8):
            points = w[: w.size // d * d].reshape(-1, d)
            digits = int(np.log2(len(points) / LEAST_COUNT) / d)
            cell = np.zeros(len(points), np.int64)
            for axis in range(d):
                cell = cell << digits | (points[:, axis] >> np.uint32(32 - digits)).astype(np.int64)
            found.append(
                of_fit(np.bincount(cell, minlength=2 ** (d * digits)), np.full(2 ** (d * digits), 2.0 ** (-d * digits)))
            )
        first, second = w[:-1], w[1:]
        thin = first >> np.uint32(24) == 0  # the strip u < 1/256: four parts across, four along
        cell = (first[thin] >> np.uint32(22)) * 4 + (second[thin] >> np.uint32(30))
        found.append(of_fit(np.bincount(cell, minlength=16), np.full(16, 1 / 16)))
    return worst(found)


def walsh(words: Words) -> float:
    """Each bit against every linear function of the counter, in blocks of 2**12: one block, and all blocks together."""
    size = 2**12
    tallest, together = 0.0, []
    blocks = words.size // size
    for row in bits_of(words[: blocks * size]):
        w = (1 - 2 * row.astype(np.float32)).reshape(blocks, size)
        half = 1
        while half < size:
            w = w.reshape(blocks, -1, 2, half)
            w = np.stack([w[:, :, 0] + w[:, :, 1], w[:, :, 0] - w[:, :, 1]], axis=2)
            half *= 2
        w = w.reshape(blocks, size)
        tallest = max(tallest, float(np.abs(w).max()))
        together.append((w.astype(np.float64) ** 2).sum(0) / size)
    single = 2 * np.exp(-(tallest**2) / (2 * size)) * blocks * size * 32  # Hoeffding: exact for sums of signs
    power = stats.chi2.sf(np.stack(together), blocks)
    return worst([min(1.0, single), worst(power)])


def linear_complexity(words: Words) -> float:
    """Shortest linear recurrences of 256 successive bits of the lowest and the highest position."""
    length = 256
    number = min(words.size // length, 512)
    low, high = length // 2 - 1, length // 2 + 3
    size = np.arange(1, length + 1)
    law = np.bincount(np.clip(size, low, high) - low, 2.0 ** (np.minimum(2 * length - 2 * size, 2 * size - 1) - length))
    found = []
    for shift in (0, 31):
        bits = ((words[: number * length] >> np.uint32(shift)) & np.uint32(1)).reshape(number, length).tolist()
        complexity = np.array([berlekamp_massey(row) for row in bits])
        found.append(of_fit(np.bincount(np.clip(complexity, low, high) - low, minlength=5), law / law.sum()))
    return worst(found)


def berlekamp_massey(bits: list[int]) -> int:
    """The length of the shortest linear feedback register that gives the bits; polynomials are Python integers."""
    current = previous = 1
    complexity, since, backwards = 0, 0, 0
    for n, bit in enumerate(bits):
        backwards = backwards << 1 | bit
        since += 1
        if (current & backwards).bit_count() & 1:
            before = current
            current ^= previous << since
            if 2 * complexity <= n:
                complexity, previous, since = n + 1 - complexity, before, 0
    return complexity


BATTERY: dict[str, Test] = {
    test.__name__: test
    for test in (  # the quick ones first
        bit_frequency,
        byte_frequency,
        gap,
        poker,
        collisions,
        birthday_spacings,
        order,
        equidistribution,
        hamming,
        spectrum,
        serial_correlation,
        uniform_law,
        runs,
        matrix_rank,
        linear_complexity,
        bit_lags,
        walsh,
    )
}


def avalanche(outputs: np.ndarray, flipped: np.ndarray) -> float:
    """Whether flipping one bit of the input flips each bit of the output half of the time.

    Args:
        outputs: Words of `number` inputs, shape (number, words).
        flipped: The same with one input bit flipped, shape (bits, number, words).
    """
    number = len(outputs)
    change = flipped ^ outputs
    counts = np.stack([[count_bits(change[j, :, k]) for k in range(outputs.shape[1])] for j in range(len(flipped))])
    z = (counts - number / 2) / np.sqrt(number / 4)
    return worst([of_z(z), two_sided(stats.chi2.cdf((z**2).sum(), z.size), stats.chi2.sf((z**2).sum(), z.size))])


def normal_law(z: np.ndarray) -> float:
    """Moments, the Kolmogorov-Smirnov distance, and the counts beyond 1 to 5 standard deviations on either side."""
    z = np.asarray(z, np.float64).ravel()
    moments = [z.mean(), (z**2).mean() - 1, (z**3).mean(), (z**4).mean() - 3]
    scale = np.sqrt(np.array([1, 2, 15, 96]) / z.size)
    counts = [(np.count_nonzero(side > c), stats.norm.sf(c)) for side in (z, -z) for c in range(1, 6)]
    tails = [two_sided(stats.binom.cdf(n, z.size, p), stats.binom.sf(n - 1, z.size, p)) for n, p in counts]
    return worst([of_z(moments / scale), stats.kstest(z, "norm", method="asymp").pvalue, worst(tails)])
