"""Makes a folder of models that read text: the pipeline beside this file, and the three ONNX models that the package
rapidocr-onnxruntime carries.

    pip download --no-deps rapidocr-onnxruntime==1.4.4        # a wheel of 15 MB
    python3 examples/ocr/make.py rapidocr_onnxruntime-1.4.4-py3-none-any.whl models
    tensord serve models
"""
import shutil
import sys
import zipfile
from pathlib import Path

FILES = {
    "ocr_detect": "ch_PP-OCRv4_det_infer.onnx",
    "ocr_classify": "ch_ppocr_mobile_v2.0_cls_infer.onnx",
    "ocr_recognize": "ch_PP-OCRv4_rec_infer.onnx",
}
REQUIREMENTS = "rapidocr-onnxruntime==1.4.4\n"


def make(wheel, folder):
    """Fills the folder, which need not be there yet."""
    here = Path(__file__).resolve().parent
    shutil.copytree(here / "models", folder, dirs_exist_ok=True)
    for code in Path(folder).glob("ocr*/model.py"):
        (code.parent / "requirements.txt").write_text(REQUIREMENTS)
    with zipfile.ZipFile(wheel) as package:
        for model, file in FILES.items():
            (Path(folder) / f"{model}.onnx").write_bytes(package.read(f"rapidocr_onnxruntime/models/{file}"))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    make(*sys.argv[1:])
