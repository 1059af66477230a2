"""The person as the researcher: takes files that are already edited."""

from collections.abc import Mapping

from autoresearch.experiment import Proposal
from autoresearch.researchers.base import Desk


class ByHand:
    """Proposes exactly these contents of the editable files."""

    def __init__(self, contents: Mapping[str, bytes], description: str) -> None:
        self.contents, self.description = contents, description

    def propose(self, desk: Desk) -> Proposal:
        for name, content in self.contents.items():
            (desk.tree / name).write_bytes(content)
        return Proposal(self.description, "a person's idea")
