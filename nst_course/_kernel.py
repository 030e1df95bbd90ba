"""What the kernels are given that run the notebooks of others."""

import json

from jupyter_client.jsonutil import json_default
from jupyter_client.session import json_packer


def pack(message):
    r"""Make the bytes of a kernel's message, as jupyter_client does, but also of half a character.

    UTF-8 has no bytes for one, such as ``"\ud83d"``; JSON can escape it. A kernel that prints one would lose what it
    prints, and now and then all that comes after it.

    Parameters
    ----------
    message : dict
        What JSON can hold.

    Returns
    -------
    bytes
    """
    try:
        return json_packer(message)
    except UnicodeEncodeError:
        return json.dumps(message, default=json_default).encode()


#: The option that makes a kernel of Python use it.
PACKER = f"--Session.packer={__name__}.pack"
