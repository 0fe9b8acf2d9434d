"""An encoded image as the detector wants it. The work is rapidocr_onnxruntime's own, without its sessions."""
from typing import Annotated

import numpy as np
import tensord
from rapidocr_onnxruntime.ch_ppocr_det import TextDetector
from rapidocr_onnxruntime.main import DEFAULT_CFG_PATH, LoadImage, RapidOCR, read_yaml

config = read_yaml(DEFAULT_CFG_PATH)
ocr, detector = object.__new__(RapidOCR), object.__new__(TextDetector)
vars(ocr).update(config["Global"])
vars(detector).update(config["Det"])
load = LoadImage()


@tensord.model(outputs=["page", "x", "geometry"])
def page(image: bytes) -> tuple[Annotated[np.ndarray, "UINT8", (-1, -1, 3)], Annotated[np.ndarray, "FP32", (1, 3, -1, -1)],
                                Annotated[np.ndarray, "FP64", (6,)]]:
    raw = load(image)
    scaled, ratio_h, ratio_w = ocr.preprocess(raw)
    padded, record = ocr.maybe_add_letterbox(scaled, {})
    padding = record["padding_1"]
    x = detector.get_preprocess(max(padded.shape[:2]))(padded)
    return padded, x, np.array([ratio_h, ratio_w, padding["top"], padding["left"], *raw.shape[:2]])
