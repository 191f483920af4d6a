"""What a page may do: run its one script, take its one style, and nothing else."""

import base64
import hashlib


def policy(script: str, style: str) -> str:
    """Return the content-security policy of a page.

    Nothing is fetched, framed, sent or evaluated; no text becomes markup (Trusted Types). The script and the style are
    known by their hashes: in a file that is kept, a nonce would be as good as none.

    Parameters
    ----------
    script, style
        The texts between the tags.
    """
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_digest(script)}'",
            f"style-src '{_digest(style)}'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}"
