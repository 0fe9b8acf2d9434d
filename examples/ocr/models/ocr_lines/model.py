"""Lines as the recognizer wants them, all as wide as the longest; turned, where the classifier says that they stand on their head."""
from types import SimpleNamespace
from typing import Annotated

import cv2
import numpy as np
from rapidocr_onnxruntime.ch_ppocr_rec import TextRecognizer
from rapidocr_onnxruntime.main import DEFAULT_CFG_PATH, read_yaml

config = read_yaml(DEFAULT_CFG_PATH)
recognizer = SimpleNamespace(rec_image_shape=config["Rec"]["rec_img_shape"])
_, HEIGHT, WIDTH = config["Rec"]["rec_img_shape"]
UPSIDE_DOWN = config["Cls"]["label_list"].index("180")


def predict(lines: list[bytes], sizes: Annotated[np.ndarray, "INT64", (-1, 2)],
            turned: Annotated[np.ndarray, "FP32", (-1, 2)]) -> Annotated[np.ndarray, "FP32", (-1, 3, 48, -1)]:
    images = [np.frombuffer(line, np.uint8).reshape(*size, 3) for line, size in zip(lines, sizes)]
    for i, scores in enumerate(turned):
        if scores.argmax() == UPSIDE_DOWN and scores[UPSIDE_DOWN] > config["Cls"]["cls_thresh"]:
            images[i] = cv2.rotate(images[i], cv2.ROTATE_180)
    ratio = max(WIDTH / HEIGHT, *(image.shape[1] / image.shape[0] for image in images))
    return np.array([TextRecognizer.resize_norm_img(recognizer, image, ratio) for image in images])
