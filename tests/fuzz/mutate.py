"""Damage done to files, the same for the same seed: bytes, numbers, pieces, and what is packed within them."""

import io
import struct
import zipfile
import zlib

#: Numbers at which counts and sizes go wrong.
_EDGES = (0, 1, 2, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1)


def damaged(rng, content, others, most=8):
    """Return content with up to `most` kinds of damage; `others` are files of the same kind to take pieces from."""
    content = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3, most))):
        if not content:
            break
        # Headers are where it hurts.
        place = rng.randrange(min(len(content), rng.choice((32, 128, 512, len(content)))))
        rng.choice(_DAMAGES)(rng, content, place, others)
    return bytes(content)


def _flip(rng, content, place, others):
    content[place] ^= 1 << rng.randrange(8)


def _byte(rng, content, place, others):
    content[place] = rng.randrange(256)


def _number(rng, content, place, others):
    size, order = rng.choice((1, 2, 4, 8)), rng.choice(("little", "big"))
    content[place : place + size] = (rng.choice(_EDGES) % 256**size).to_bytes(size, order)


def _cut(rng, content, place, others):
    del content[place : place + rng.randrange(1, 64)]


def _end(rng, content, place, others):
    del content[rng.randrange(len(content)) :]


def _repeat(rng, content, place, others):
    piece = content[place : place + rng.randrange(1, 256)]
    content[place:place] = piece * rng.choice((1, 2, 50))


def _insert(rng, content, place, others):
    content[place:place] = rng.randbytes(rng.randrange(1, 16))


def _splice(rng, content, place, others):
    other = rng.choice(others)
    begin = rng.randrange(len(other))
    piece = other[begin : begin + rng.randrange(1, 512)]
    content[place : place + len(piece)] = piece


_DAMAGES = (_flip, _byte, _number, _number, _cut, _end, _repeat, _insert, _splice)


# --- damage within what is packed: without it a checksum would stop nearly all of it at the door ---


def inside_png(rng, content):
    """Damage the data of some chunks, or of the packed pixels, and make the checksums right."""
    chunks, place = [], 8
    while place + 8 <= len(content):
        (n,) = struct.unpack_from(">I", content, place)
        chunks.append([content[place + 4 : place + 8], content[place + 8 : place + 8 + n]])
        place += 12 + n
    for chunk in rng.sample(chunks, min(len(chunks), rng.randrange(1, 4))):
        kind, data = chunk
        if kind == b"IDAT" and rng.random() < 0.5:
            try:
                chunk[1] = zlib.compress(damaged(rng, zlib.decompress(data), [data]))
            except zlib.error:
                pass
        else:
            chunk[1] = damaged(rng, data, [data or b"0"])
    body = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return content[:8] + body


def inside_zip(rng, content):
    """Damage some members of a ZIP archive, and make the checksums right."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as given, zipfile.ZipFile(file, "w") as archive:
        infos = given.infolist()
        chosen = {info.filename for info in rng.sample(infos, min(len(infos), rng.randrange(1, 4)))}
        for info in infos:
            data = given.read(info)
            if info.filename in chosen:
                data = damaged(rng, data, [data or b"0"])
            archive.writestr(info.filename, data, info.compress_type)
    return file.getvalue()


def inside_mat(rng, content):
    """Damage the packed variables of a .mat, and pack them again."""
    out, place = content[:128], 128
    while place + 8 <= len(content):
        kind, n = struct.unpack_from("<II", content, place)
        data = content[place + 8 : place + 8 + n]
        if kind == 15:
            data = zlib.compress(damaged(rng, zlib.decompress(data), [data]))
        out += struct.pack("<II", kind, len(data)) + data
        place += 8 + n
    return out
