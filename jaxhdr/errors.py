"""The exception for mistakes that a user can correct."""


class UserError(ValueError):
    """A wrong input, file or option.

    The message is one sentence without a final period. It has the value, what was
    expected, and what to do. The command lines print only the message and exit with
    status 2; any other exception is a bug and shows its traceback.
    """
