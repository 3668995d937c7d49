"""The README's Python runs as it stands."""

import re
from pathlib import Path

import pytest

from serving.embedded import EmbeddedServer
from tests.data.encoded import encoded_image

pytestmark = pytest.mark.server


def test_the_readme_s_python_runs(
    server: EmbeddedServer, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snippets = re.findall(r"```python\n(.*?)```", (root / "README.md").read_text(), re.DOTALL)
    assert snippets
    (tmp_path / "photo.jpg").write_bytes(encoded_image(seed=1, people=2))
    monkeypatch.chdir(tmp_path)
    for snippet in snippets:
        exec(compile(snippet.replace("localhost:8001", server.grpc_url), "README.md", "exec"), {})
