"""The module that Triton's Python models import; see tensord/worker/triton_utils.py."""
from tensord.worker.triton_utils import *  # noqa: F403
