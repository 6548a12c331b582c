"""Do the numbers printed in the classic CNN papers hold, and does the code that people run build those networks?

>>> import repro
>>> repro.load_ledger().network("vgg-d").params
138357544

``repro.audit(model, as_="resnet50")`` holds anybody's module against a paper. ``import repro`` imports no torch.
"""

from repro.auditing import Audit, audit
from repro.errors import ReproError
from repro.layers import Layer
from repro.tables import Claim, Ledger, Network, load_ledger

__version__ = "0.1.0"
__all__ = ["Audit", "Claim", "Layer", "Ledger", "Network", "ReproError", "audit", "load_ledger"]
