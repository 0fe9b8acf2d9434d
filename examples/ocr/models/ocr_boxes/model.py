"""Where the detector has seen lines, in the order of reading; and these lines, cut out of the page, in the order of length, as
the classifier wants them."""
from types import SimpleNamespace
from typing import Annotated

import numpy as np
import tensord
from rapidocr_onnxruntime.ch_ppocr_cls import TextClassifier
from rapidocr_onnxruntime.ch_ppocr_det import TextDetector
from rapidocr_onnxruntime.ch_ppocr_det.utils import DBPostProcess
from rapidocr_onnxruntime.main import DEFAULT_CFG_PATH, RapidOCR, read_yaml

config = read_yaml(DEFAULT_CFG_PATH)
names = "thresh", "box_thresh", "max_candidates", "unclip_ratio", "use_dilation", "score_mode"
find = DBPostProcess(**{name: config["Det"][name] for name in names})
ocr, detector = object.__new__(RapidOCR), object.__new__(TextDetector)
classifier = SimpleNamespace(cls_image_shape=config["Cls"]["cls_image_shape"])


@tensord.model(outputs=["boxes", "order", "lines", "sizes", "x"])
def boxes(page: Annotated[np.ndarray, "UINT8", (-1, -1, 3)], heat: Annotated[np.ndarray, "FP32", (-1, 1, -1, -1)]) -> tuple[
        Annotated[np.ndarray, "FP32", (-1, 4, 2)], Annotated[np.ndarray, "INT64", (-1,)], list[bytes],
        Annotated[np.ndarray, "INT64", (-1, 2)], Annotated[np.ndarray, "FP32", (-1, 3, 48, 192)]]:
    shape = page.shape[:2]
    found = detector.filter_tag_det_res(find(heat, shape)[0], shape)
    found = ocr.sorted_boxes(found) if len(found) else []
    lines = ocr.get_crop_img_list(page, found)
    order = np.argsort(np.array([line.shape[1] / float(line.shape[0]) for line in lines]))
    lines = [np.ascontiguousarray(lines[i]) for i in order]
    x = [TextClassifier.resize_norm_img(classifier, line) for line in lines]
    return (np.array(found, np.float32).reshape(-1, 4, 2), order, [line.tobytes() for line in lines],
            np.array([line.shape[:2] for line in lines], np.int64).reshape(-1, 2),
            np.array(x, np.float32).reshape(-1, 3, 48, 192))
