"""Completion in the shells people use: the README's one line installs it for all commands."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.azurite import ROOT

if TYPE_CHECKING:
    from tests.clones import Clone

COMMANDS = sorted(path.name for path in (ROOT / "tools").iterdir() if path.is_file())

# What a shell that starts afterwards offers for `tools/add-asset GQ`, and which commands it knows. That of zsh
# needs a terminal to complete anything: instead, the question that it asks, and what is registered there.
ASK = {
    "bash": """
        COMP_WORDS=(tools/add-asset GQ); COMP_CWORD=1; _add_asset_completion tools/add-asset GQ; echo "$COMPREPLY"
        complete -p | sed -n 's/.*_completion //p'
    """,
    "zsh": """
        _TYPER_COMPLETE_ARGS='add-asset GQ' _ADD_ASSET_COMPLETE=complete_zsh add-asset | grep -o GQA
        print -l ${(k)_comps}
    """,
    "fish": """
        for file in ~/.config/fish/completions/*; source $file; end
        complete -C 'tools/add-asset GQ'; basename -s .fish -a ~/.config/fish/completions/*
    """,
}


@pytest.mark.parametrize("shell", ASK)
def test_one_line_of_the_readme_completes_every_command(shell: str, untouched: Clone) -> None:
    """From the next shell on."""
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    [line] = re.findall(r"`([^`\n]*--install-completion[^`\n]*)`", (ROOT / "README.md").read_text())

    untouched.ok(shell, "-c", f"{line}; true")  # a shell that stays: one that has gone cannot be recognized
    result = untouched.run(shell, "-ic", ASK[shell])

    offered, *known = result.stdout.split()
    assert offered == "GQA"
    assert set(COMMANDS) <= set(known)
