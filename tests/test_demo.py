"""`make demo`, the main job as a user types it."""

from __future__ import annotations

import os
import subprocess

from tests.azurite import ROOT

COMMANDS = [
    "oscar-data $ tools/add-asset vqa base-vg-labels",
    "oscar-data $ dvc repro",
    "oscar-data $ tools/list-assets",
    'oscar-data $ git add -A && git commit -m "Add vqa and base-vg-labels" && dvc push',
    "oscar-data $ git clone . ../colleague",
    "colleague $ dvc pull",
]


def test_two_demos_at_once_show_the_main_job_and_leave_nothing_behind() -> None:
    """Each types the commands, ends with the colleague's tree, and stops its service."""
    mark = f"demo-of-test-{os.getpid()}"
    runs = [
        subprocess.Popen(
            ["make", "--no-print-directory", "demo"],
            cwd=ROOT,
            env={**os.environ, "AZURITE_MARK": mark},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [run.communicate(timeout=300)[0] for run in runs]

    for run, output in zip(runs, outputs, strict=True):
        lines = output.splitlines()
        assert run.returncode == 0, output
        assert [line for line in lines if " $ " in line] == COMMANDS
        assert "vqa: added, " in output
        assert "next: tools/fetch-asset vqa base-vg-labels" in output
        assert "  data/vqa/annotations/.splits  12 bytes" in lines
        assert lines[-1].startswith("  models/base-vg-labels/vocab.txt  ")
        assert "sig=" not in output.replace("sig=REDACTED", "")
    processes = subprocess.run(["ps", "axeww"], capture_output=True, text=True, check=True).stdout
    assert not [line for line in processes.splitlines() if mark in line]
