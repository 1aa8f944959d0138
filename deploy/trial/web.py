"""What installers and browsers ask from outside of the containers, and what they upload."""

import base64
import hashlib
import io
import urllib.error
import urllib.request
import zipfile


def get(url, accept="*/*", seconds=30):
    """Status and text of an answer; 0 when nobody answers."""
    try:
        asked = urllib.request.Request(url, headers={"Accept": accept})
        with urllib.request.urlopen(asked, timeout=seconds) as answer:
            return answer.status, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode("utf-8", "replace")
    except OSError:
        return 0, ""


def wheel(name, version, padding_bytes=0):
    """A wheel's file name and bytes. Padding is what does not compress."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    files = {
        f"{module}/__init__.py": f"__version__ = {version!r}\n".encode(),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: trial\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if padding_bytes:
        files[f"{module}/padding"] = noise(padding_bytes)
    record = "".join(
        f"{path},sha256={digest(content)},{len(content)}\n" for path, content in files.items()
    )
    files[f"{info}/RECORD"] = (record + f"{info}/RECORD,,\n").encode()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for path, content in files.items():
            archive.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), content)
    return f"{module}-{version}-py3-none-any.whl", made.getvalue()


def digest(content):
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def noise(size_bytes):
    """Bytes that are the same each time, and that nothing compresses."""
    blocks = (hashlib.sha512(str(number).encode()).digest() for number in range(size_bytes // 64 + 1))
    return b"".join(blocks)[:size_bytes]
