"""The lines that are sure enough, in the order of reading, and where they stand in the image that came."""
from typing import Annotated

import numpy as np
import tensord
from rapidocr_onnxruntime.main import DEFAULT_CFG_PATH, RapidOCR, read_yaml

config = read_yaml(DEFAULT_CFG_PATH)["Global"]
ocr = object.__new__(RapidOCR)


@tensord.model(outputs=["boxes", "text", "score"])
def result(boxes: Annotated[np.ndarray, "FP32", (-1, 4, 2)], order: Annotated[np.ndarray, "INT64", (-1,)], text: list[str],
           score: Annotated[np.ndarray, "FP64", (-1,)], geometry: Annotated[np.ndarray, "FP64", (6,)]) -> tuple[
        Annotated[np.ndarray, "FP32", (-1, 4, 2)], list[str], Annotated[np.ndarray, "FP64", (-1,)]]:
    place = np.argsort(order)
    text, score = [text[i] for i in place], score[place]
    ratio_h, ratio_w, top, left, height, width = geometry.tolist()
    record = {"preprocess": {"ratio_h": ratio_h, "ratio_w": ratio_w}, "padding_1": {"top": int(top), "left": int(left)}}
    boxes = ocr._get_origin_points(boxes, record, int(height), int(width)).astype(np.float32)
    sure = score >= config["text_score"]
    return boxes[sure], [line for line, keep in zip(text, sure) if keep], score[sure]
