import os
import sys

sys.path += os.environ["PYTHONPATH"].split(":")  # Triton's interpreter does not look there itself
from triton_app import TritonPythonModel  # noqa: E402, F401
