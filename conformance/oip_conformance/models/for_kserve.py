"""A folder with the models for KServe's Python server: `python FOLDER/kserve_models.py --http_port=… --grpc_port=…`."""
import shutil
from pathlib import Path


def write(folder):
    Path(folder).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(__file__).with_name("kserve_models.py"), Path(folder) / "kserve_models.py")
