"""What can be wrong with the state of a lake. Bad data never raises: it becomes a row of ``ingest_issues``."""


class LakeError(Exception):
    """A lake cannot answer. The message says what was asked, what was found and what to do."""


class TableMissingError(LakeError):
    """A table was asked for in a lake that does not hold it."""


class RowsRefusedError(LakeError):
    """Rows do not fit the contract of the table that they were meant for."""


class SourceError(LakeError):
    """A source cannot be read as it was described: a missing folder, an unknown column."""


class CheckFailedError(LakeError):
    """A rule of the tables does not hold; the message shows the first offenders."""


class QuestionError(LakeError):
    """A query failed. The message is the engine's own, with the question's name."""


class LossError(LakeError):
    """More of a source would be set aside than was said to be acceptable; the message shows what and why."""


class PriorUnfitError(LakeError):
    """A prior changes nothing of what a rule goes by."""


class NothingLabelledError(LakeError):
    """Answers were to be scored, and none of their observations is labelled."""
