"""Data: named sets, users' own files, transforms with their log-determinants, and batches that stream."""

from energax.data._build import is_colour_first as is_colour_first
from energax.data._counter import Permutation as Permutation
from energax.data._counter import batch_indices as batch_indices
from energax.data._dataset import Data as Data
from energax.data._describe import describe as describe
from energax.data._gray import GrayCode as GrayCode
from energax.data._in_logits import in_logits as in_logits
from energax.data._labelled import LABELLED_SETS as LABELLED_SETS
from energax.data._labelled import Labelled as Labelled
from energax.data._labelled import labelled as labelled
from energax.data._load import from_array as from_array
from energax.data._load import load as load
from energax.data._named import NAMED_SETS as NAMED_SETS
from energax.data._named import gray_code as gray_code
from energax.data._split import Split as Split
from energax.data._transforms import AbstractTransform as AbstractTransform
from energax.data._transforms import Composed as Composed
from energax.data._transforms import Dequantize as Dequantize
from energax.data._transforms import Identity as Identity
from energax.data._transforms import Logit as Logit
from energax.data._transforms import SpinsToBinary as SpinsToBinary
from energax.data._transforms import Standardize as Standardize
from energax.data._transforms import transform_from_json as transform_from_json

__all__ = [
    "LABELLED_SETS",
    "NAMED_SETS",
    "AbstractTransform",
    "Composed",
    "Data",
    "Dequantize",
    "GrayCode",
    "Identity",
    "Labelled",
    "Logit",
    "Permutation",
    "SpinsToBinary",
    "Split",
    "Standardize",
    "batch_indices",
    "describe",
    "from_array",
    "gray_code",
    "in_logits",
    "is_colour_first",
    "labelled",
    "load",
    "transform_from_json",
]
