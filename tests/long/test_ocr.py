"""The example that reads text, against the package whose models it has: the same lines, in the same places, as sure."""
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from support.frameworks import environment
from support.python_models import needs_python
from support.server import ROOT

pytestmark = needs_python
PACKAGE = "rapidocr-onnxruntime==1.4.4"
BUILD_S = 900

sys.path.append(str(ROOT / "examples" / "ocr"))
import make  # noqa: E402
import read  # noqa: E402

# text, size, upside down
LINES = [("Invoice No. 2041", 40, False), ("Total: 1,234.56 EUR", 32, False), ("upside down", 36, True),
         ("The quick brown fox jumps over the lazy dog.", 30, False), ("OCR", 44, False),
         ("paid in full, thank you", 28, False), ("https://example.com/pay", 26, False), ("12 May 2026", 34, False),
         ("a line in small print at the end of it all", 18, False)]

DIRECT = """
import json, sys
from rapidocr_onnxruntime import RapidOCR
read = RapidOCR()
found = [read(open(path, "rb").read())[0] or [] for path in sys.argv[1:]]
print(json.dumps([[[box, text, float(score)] for box, text, score in lines] for lines in found]))
"""


def draw(lines, size):
    """A page with these lines, as PNG."""
    page = Image.new("RGB", size, "white")
    for i, (text, points, turned) in enumerate(lines):
        font = ImageFont.load_default(points)
        box = ImageDraw.Draw(page).textbbox((0, 0), text, font=font)
        strip = Image.new("RGB", (box[2] + 8, box[3] + 8), "white")
        ImageDraw.Draw(strip).text((4, 0), text, font=font, fill="black")
        page.paste(strip.rotate(180) if turned else strip, (30, 30 + 62 * i))
    file = io.BytesIO()
    page.save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def pages():
    wide = draw([("a very wide and low image with one line of text in it, which is padded", 20, False)], (1400, 90))
    return {"page": draw(LINES, (900, 640)), "large": draw(LINES[:3], (2600, 1900)), "wide": wide,
            "empty": draw([], (300, 200))}


@pytest.fixture(scope="module")
def direct(pages, tmp_path_factory):
    """What the package itself finds on each page."""
    folder = tmp_path_factory.mktemp("pages")
    for name, page in pages.items():
        (folder / name).write_bytes(page)
    done = subprocess.run([environment(PACKAGE), "-c", DIRECT, *(str(folder / name) for name in pages)], check=True,
                          capture_output=True, text=True)
    return dict(zip(pages, json.loads(done.stdout.splitlines()[-1])))


def test_it_reads_what_the_package_reads(server, pages, direct, tmp_path):
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", tmp_path, PACKAGE], check=True)
    make.make(next(tmp_path.glob("*.whl")), tmp_path / "models")
    running = server(tmp_path / "models", "--uv", Path(sys.executable).parent / "uv").wait_ready("ocr", BUILD_S)
    headers = {"Authorization": f"Bearer {running.admin_token}"}
    for name, page in pages.items():
        found = read.read(page, running.url, headers)
        assert [text for _, text, _ in found] == [text for _, text, _ in direct[name]], name
        assert np.float32([box for box, _, _ in found]).tolist() == [box for box, _, _ in direct[name]], name
        assert [score for _, _, score in found] == pytest.approx([score for _, _, score in direct[name]], abs=1e-4), name
    assert [text for _, text, _ in direct["page"]][4] == "OCR" and len(direct["page"]) == len(LINES)
    assert direct["empty"] == []
    stats = {row["name"]: row["inference_stats"]["success"]["count"] for row in running.get("/v2/models/stats")["model_stats"]}
    assert stats["ocr"] == len(pages)
    assert stats["ocr_read"] == sum(-(-len(found) // 6) for found in direct.values())
