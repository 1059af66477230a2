"""Everything that can go wrong on purpose.

AutoresearchError
├── UserError               bad input: says what, where and what to do; exit code 2
│   ├── ProgramError          program.md or its front matter
│   ├── LabError              the repository or its three files
│   └── StudyError            a tag, a number, a study that cannot go on as asked
├── ExperimentError         ends one experiment with a verdict; the night goes on
│   ├── Crashed               the run ended by itself, without a result
│   ├── TimedOut              the run was stopped by the harness's clock
│   ├── Invalid               the experiment broke a rule
│   ├── Skipped               the person ended it
│   └── Failed                the researcher gave nothing usable
│       ├── Unavailable         it cannot be reached now: rate limit, network, it died or hangs
│       └── Spent               the study's tokens or money are used up
└── Stopped                 the person asked to stop; the experiment stays open and is resumed
"""


class AutoresearchError(Exception):
    """Any error of ours."""


class UserError(AutoresearchError):
    """Bad input. The message is one or two lines: what, where, what to do."""


class ProgramError(UserError):
    """`program.md` cannot be understood."""


class LabError(UserError):
    """The lab is not as it must be."""


class StudyError(UserError):
    """The study cannot do what was asked."""


class ExperimentError(AutoresearchError):
    """Ends the current experiment. The message is the one-line reason that the log shows."""


class Crashed(ExperimentError):
    """The run ended by itself, without a result."""


class TimedOut(ExperimentError):
    """The run took longer than it may."""


class Invalid(ExperimentError):
    """The experiment broke a rule."""


class Skipped(ExperimentError):
    """The person ended it, before it had a score."""


class Failed(ExperimentError):
    """The researcher gave nothing usable. `heard`: it had read what the person told it."""

    def __init__(self, message: str, heard: bool = True) -> None:
        super().__init__(message)
        self.heard = heard


class Unavailable(Failed):
    """The researcher cannot be reached now. `retry_seconds`: when it asked to be tried again."""

    def __init__(self, message: str, retry_seconds: float | None = None) -> None:
        super().__init__(message, heard=False)
        self.retry_seconds = retry_seconds


class Spent(Failed):
    """The study's tokens or money are used up."""

    def __init__(self, message: str) -> None:
        super().__init__(message, heard=False)


class Stopped(AutoresearchError):
    """The person asked to stop before the current experiment was over."""
