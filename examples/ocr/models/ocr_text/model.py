"""The text of each line, out of the likelihood of each character at each place; the recognizer's file has the characters."""
from typing import Annotated

import numpy as np
import onnxruntime
import tensord
from rapidocr_onnxruntime.ch_ppocr_rec.utils import CTCLabelDecode
from rapidocr_onnxruntime.main import DEFAULT_CFG_PATH, read_yaml, root_dir

file = root_dir / read_yaml(DEFAULT_CFG_PATH)["Rec"]["model_path"]
characters_of = onnxruntime.InferenceSession(file).get_modelmeta().custom_metadata_map
decode = CTCLabelDecode(character=characters_of["character"].splitlines())


@tensord.model(outputs=["text", "score"])
def text(characters: Annotated[np.ndarray, "FP32", (-1, -1, -1)]) -> tuple[list[str], Annotated[np.ndarray, "FP64", (-1,)]]:
    read = decode(characters)
    return [line[0] for line in read], np.array([line[1] for line in read], np.float64)
