"""Makes the battery importable for the tests beside it, however pytest was told to import them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
