"""Says what was done to the pixels that a pipeline feeds a model: `jaxprep.diagnose`.

Read `compare.py` first, then `search.py`, which finds where an image lies in a photograph
(`register.py`), which filter made it (`kernels.py`) and what was done to its values (`values.py`);
`changes.py` names what differs from a preset (`expected.py`).
"""

from jaxprep.doctor.compare import diagnose
from jaxprep.doctor.diagnosis import Diagnosis

__all__ = ["Diagnosis", "diagnose"]
