"""
Makes reports/sample/ anew: the reports of one real run of a shipped scenario, and a picture of it for the README.

    make sample        or        python docs/sample.py [SCENARIO] [--run RUN]

Runs the scenario (--run: takes a run that is there already), and keeps what it wrote for people and machines; not its
journal, which is too big for git. The picture is taken in a real Chromium, which `.ci/chromium.sh` installs.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "reports" / "sample"
KEPT = ("report.html", "report.md", "verdict.json", "junit.xml")
PICTURE = "report.png"
WIDTH, HEIGHT = 1280, 1500
sys.path.insert(0, str(ROOT / "tests" / "system"))

import browser  # noqa: E402  # tests/ is no package of ours


def ran(scenario: str, folder: Path) -> Path:
    """Run a scenario; its folder. Raises CalledProcessError when it did not end as it declares."""
    harness = str(Path(sys.executable).parent / "harness")
    command = [harness, "run", scenario, "--retry-busy", "3", "--reports", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True)
    return (folder / "latest").resolve()


def taken(page_file: Path, picture: Path) -> None:
    """A picture of the report: the verdict and the upper part of the time axis, as a newcomer sees them."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser.chromium(), args=["--no-sandbox"])
        try:
            page = chromium.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
            page.goto(page_file.resolve().as_uri())
            top = page.locator("#timeline").bounding_box()
            assert top is not None
            page.screenshot(
                path=picture, full_page=True, clip={"x": 0, "y": 0, "width": WIDTH, "height": top["y"] + 790}
            )
        finally:
            chromium.close()


def main() -> int:
    """Exit code 0 when the sample was made."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", nargs="?", default="scenarios/payment-slow.yaml")
    parser.add_argument("--run", type=Path, help="take this run's reports instead of running the scenario")
    options = parser.parse_args()
    if browser.chromium() is None:
        sys.exit("no Chromium for the picture: .ci/chromium.sh installs one")
    with tempfile.TemporaryDirectory() as folder:
        run = options.run or ran(options.scenario, Path(folder))
        SAMPLE.mkdir(parents=True, exist_ok=True)
        for name in KEPT:
            shutil.copyfile(run / name, SAMPLE / name)
        taken(SAMPLE / "report.html", SAMPLE / PICTURE)
    for name in (*KEPT, PICTURE):
        print(f"{SAMPLE.relative_to(ROOT) / name}  {(SAMPLE / name).stat().st_size / 1024:.0f} KB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
