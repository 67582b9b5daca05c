"""The one exception for mistakes that a user can mend."""


class UserError(ValueError):
    """A wrong input, file or option: its message says what, and what to do about it.

    The command lines print the message alone and exit with status 2; any other
    exception is a defect of ours and keeps its traceback.
    """
