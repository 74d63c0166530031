#!/usr/bin/env python3
"""Verifies a Cordon audit log, or a proof from one, with nothing of Cordon.

It knows three published formats (C2SP signed-note, tlog-checkpoint and tlog-proof), the tree of RFC 6962,
Ed25519 of RFC 8032, and what the log's documentation says of its files:

* `segment-<number of first line>.jsonl`: lines that end in LF, in order; each is
  `{"seq":NUMBER,"time":"...",...,"sum":"SUM"}`. SUM is the first half of SHA-256, in hexadecimal, over the SUM
  of the line before (32 zeros before the first) and the line up to `,"sum":"`.
  Lines without LF are the leaves of the tree.
* `segment-<number of first line>.jsonl.gz`: the same, packed with gzip (RFC 1952). Where both are there, the plain
  file counts.
* `checkpoints`: signed checkpoints, five lines each.
* Where the first lines are gone, `frontier-<number of the first line left>.json` holds the tree's complete
  subtrees before it (`hashes`, left to right, in hexadecimal) and the last SUM. Its root must be that of a signed
  checkpoint, and a line left must be an event `log-pruned` whose `detail.next` is at least that number.

    verify.py log DIR --public-key KEY [--checkpoint FILE]
    verify.py proof FILE --public-key KEY [--line FILE] [--from CHECKPOINT]

KEY is a C2SP verifier key, or a file that holds one. Exits with 0 and says what was verified, or with 1 and
`REJECTED <reason>: <where and what>`. Needs Python 3.8 and its standard library only.
"""

import argparse
import base64
import gzip
import hashlib
import json
import os
import re
import sys
import zlib

LINE_BYTES_MAX = 64 * 1024


class Rejected(Exception):
    """The log is not what was signed. The reason is one word with dashes, for scripts."""

    def __init__(self, reason, what):
        super().__init__(f"{reason}: {what}")
        self.reason = reason


# Ed25519 (RFC 8032 section 5.1), verification only: nothing here is secret, so nothing needs constant time.

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)


def x_of(y, sign):
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if square == 0:
        return None if sign else 0
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P != 0:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - square) % P != 0:
        return None
    return P - x if (x & 1) != sign else x


def point(x, y):
    return (x, y, 1, x * y % P)


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE = point(x_of(BASE_Y, 0), BASE_Y)


def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(number, p):
    result = (0, 1, 1, 0)
    while number:
        if number & 1:
            result = add(result, p)
        p = add(p, p)
        number >>= 1
    return result


def decompress(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    x = x_of(y, sign)
    return None if x is None else point(x, y)


def ed25519_holds(key, message, signature):
    if len(key) != 32 or len(signature) != 64:
        return False
    a, r = decompress(key), decompress(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= ORDER:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ORDER
    left, right = times(s, BASE), add(r, times(h, a))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


# C2SP signed-note and tlog-checkpoint.


def unbase64(text, reason, what):
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        data = None
    if data is None or base64.b64encode(data).decode() != text:
        raise Rejected(reason, what)
    return data


class Key:
    """`name+hash+key` of C2SP signed-note, Ed25519."""

    def __init__(self, text):
        parts = text.split("+", 2)
        if len(parts) != 3:
            raise Rejected("key-form", "the public key is not of the form name+hash+key")
        self.name, hexed, encoded = parts
        data = unbase64(encoded, "key-form", "the public key is no base64")
        if len(data) != 33 or data[0] != 1:
            raise Rejected("key-form", "the public key is none of Ed25519")
        self.bytes = data[1:]
        self.id = hashlib.sha256(self.name.encode() + b"\n" + data).digest()[:4]
        if self.id.hex() != hexed:
            raise Rejected("key-id", "the public key's hash is another: it was changed")

    def open(self, note, where):
        """The size and root a checkpoint signs. Signatures of other keys (witnesses) are passed over."""
        text, _, signatures = note.rpartition("\n\n")
        if not text or not signatures.endswith("\n"):
            raise Rejected("note-form", f"{where}: no signed note")
        text += "\n"
        lines = text.split("\n")[:-1]
        if len(lines) < 3 or not re.fullmatch("0|[1-9][0-9]*", lines[1]):
            raise Rejected("note-form", f"{where}: no checkpoint")
        if lines[0] != self.name:
            raise Rejected("note-origin", f"{where}: a checkpoint of the log {lines[0][:128]!r}")
        root = unbase64(lines[2], "note-form", f"{where}: the root is no base64")
        if len(root) != 32:
            raise Rejected("note-form", f"{where}: the root is no hash")
        ours = 0
        for line in signatures[:-1].split("\n"):
            parts = line.split(" ")
            if len(parts) != 3 or parts[0] != "\u2014":
                raise Rejected("note-form", f"{where}: a signature line is none")
            data = unbase64(parts[2], "note-form", f"{where}: a signature is no base64")
            if parts[1] == self.name and data[:4] == self.id:
                if not ed25519_holds(self.bytes, text.encode(), data[4:]):
                    raise Rejected("note-signature", f"{where}: the signature does not match")
                ours += 1
        if ours == 0:
            raise Rejected("note-key", f"{where}: not signed by this key")
        return int(lines[1]), root


# The tree of RFC 6962 section 2.1.


def leaf_hash(line):
    return hashlib.sha256(b"\x00" + line).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """The roots of the largest complete subtrees, with their number of leaves."""

    def __init__(self):
        self.size = 0
        self.parts = []

    def append(self, leaf):
        count, node = 1, leaf
        while self.parts and self.parts[-1][0] == count:
            node = node_hash(self.parts.pop()[1], node)
            count *= 2
        self.parts.append((count, node))
        self.size += 1

    def root(self):
        if not self.parts:
            return hashlib.sha256(b"").digest()
        node = self.parts[-1][1]
        for _, left in reversed(self.parts[:-1]):
            node = node_hash(left, node)
        return node


def check_inclusion(index, leaf, proof, size, root):
    """RFC 9162 section 2.1.3.2."""
    at, last, node = index, size - 1, leaf
    if index >= size:
        return False
    for other in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            node = node_hash(other, node)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            node = node_hash(node, other)
        at, last = at >> 1, last >> 1
    return last == 0 and node == root


def check_consistency(old, old_root, new, new_root, proof):
    """RFC 9162 section 2.1.4.2."""
    if old == new:
        return not proof and old_root == new_root
    if old > new:
        return False
    if old == 0:
        return not proof and old_root == Tree().root()
    hashes = ([old_root] if old & (old - 1) == 0 else []) + proof
    if not hashes:
        return False
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old_node = new_node = hashes[0]
    for other in hashes[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old_node, new_node = node_hash(other, old_node), node_hash(other, new_node)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new_node = node_hash(new_node, other)
        at, last = at >> 1, last >> 1
    return last == 0 and old_node == old_root and new_node == new_root


# The log.


def read(path):
    with open(path, "rb") as file:
        return file.read()


def read_text(path):
    try:
        return read(path).decode("utf-8")
    except UnicodeDecodeError:
        raise Rejected("not-text", f"{path}: no UTF-8") from None


def read_key(given):
    if os.path.exists(given):
        given = read_text(given)
        if not given.endswith("\n"):
            raise Rejected("key-form", "the public key's file does not end in a line feed")
        given = given[:-1]
    return Key(given)


def checkpoints(key, folder):
    """All checkpoints as (size, root, where), in order."""
    text = read_text(os.path.join(folder, "checkpoints"))
    lines = text.split("\n")
    if lines.pop() != "" or len(lines) % 5 != 0 or not lines:
        raise Rejected("note-form", "checkpoints: the last one is not whole, or there is none")
    found = []
    for at in range(0, len(lines), 5):
        where = f"checkpoints line {at + 1}"
        size, root = key.open("\n".join(lines[at : at + 5]) + "\n", where)
        if found and found[-1][0] > size:
            raise Rejected("checkpoint-order", f"{where}: it covers fewer lines than the one before")
        found.append((size, root, where))
    return found


class Log:
    """Takes lines in order and compares with checkpoints."""

    def __init__(self, marks, folder, first, signed):
        self.tree, self.sum, self.marks, self.signed, self.announced = Tree(), b"0" * 32, marks, signed, []
        if first > 0:
            self.begin(folder, first)
        self.compare()

    def begin(self, folder, first):
        name = f"frontier-{first:016}.json"
        try:
            frontier = json.loads(read(os.path.join(folder, name)))
            hashes = [bytes.fromhex(text) for text in frontier["hashes"]]
            counts = [1 << bit for bit in reversed(range(64)) if first >> bit & 1]
            self.sum = frontier["sum"].encode()
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise Rejected("frontier-missing", f"{name}: the first {first} lines are gone, and no frontier") from None
        if len(hashes) != len(counts):
            raise Rejected("frontier-missing", f"{name}: it is of another size")
        self.tree.size, self.tree.parts = first, list(zip(counts, hashes))
        self.marks[:] = [mark for mark in self.marks if mark[0] >= first]
        if not any(mark[0] == first and mark[1] == self.tree.root() for mark in self.marks):
            raise Rejected("frontier-unsigned", f"{name}: no checkpoint signs its root")

    def compare(self):
        while self.marks and self.marks[0][0] == self.tree.size:
            size, root, where = self.marks.pop(0)
            if root != self.tree.root():
                raise Rejected("root-mismatch", f"{where}: the first {size} lines are not those that were signed")

    def line(self, line, where):
        # `,"sum":"` are 8 bytes, the sum 32, `"}` 2.
        head, field, rest, end = line[:-42], line[-42:-34], line[-34:-2], line[-2:]
        if field != b',"sum":"' or end != b'"}':
            raise Rejected("no-sum", f"{where}: the line does not end in a sum")
        if hashlib.sha256(self.sum + head).hexdigest()[:32].encode() != rest:
            raise Rejected("sum-mismatch", f"{where}: this line was changed, or lines before it changed, removed or moved")
        if not head.startswith(b'{"seq":%d,"time":"' % self.tree.size):
            raise Rejected("number", f"{where}: it should have number {self.tree.size}")
        try:
            record = json.loads(line)
            what = record["what"] if record["type"] == "event" else None
            if what == "log-pruned" and self.tree.size < self.signed:
                self.announced.append((self.tree.size, record["detail"]["next"]))
            if what == "log-open":
                # What a start found behind the last checkpoint anybody may have written.
                taken_over = self.tree.size - record["detail"].get("unsigned", 0)
                self.announced = [it for it in self.announced if it[0] < taken_over]
        except (ValueError, KeyError, TypeError):
            raise Rejected("no-record", f"{where}: no record") from None
        self.sum = rest
        self.tree.append(leaf_hash(line))
        self.compare()


def segment_lines(folder, name):
    unpack = gzip.open if name.endswith(".gz") else open
    with unpack(os.path.join(folder, name), "rb") as file:
        while True:
            try:
                line = file.readline(LINE_BYTES_MAX + 1)
            except (EOFError, zlib.error, gzip.BadGzipFile):
                raise Rejected("packed-damaged", f"{name}: it cannot be unpacked") from None
            if not line:
                return
            yield line


def verify_log(folder, key, kept):
    marks = checkpoints(key, folder)
    signed = marks[-1][0]
    if kept:
        size, root = key.open(read_text(kept), kept)
        if any(mark[0] == size and mark[1] != root for mark in marks):
            raise Rejected("root-mismatch", f"{kept}: the log signed other lines as its first {size}")
        marks = sorted(marks + [(size, root, kept)], key=lambda mark: mark[0])
    there = {name for name in os.listdir(folder) if re.fullmatch(r"segment-[0-9]{16}\.jsonl(\.gz)?", name)}
    names = sorted(name for name in there if not (name.endswith(".gz") and name[:-3] in there))
    first = int(names[0][8:24]) if names else 0
    if kept and size < first:
        raise Rejected("incomparable", f"{kept}: the first {first} lines were deleted, which are all that it covers")
    log = Log(marks, folder, first, signed)
    for name in names:
        if int(name[8:24]) != log.tree.size:
            raise Rejected("segment-gap", f"{name}: the log goes on with number {log.tree.size}")
        for number, line in enumerate(segment_lines(folder, name), 1):
            where = f"{name} line {number}"
            if not line.endswith(b"\n"):
                reason = "line-too-long" if len(line) > LINE_BYTES_MAX else "line-torn"
                raise Rejected(reason, f"{where}: the line is not whole")
            log.line(line[:-1], where)
    if max((it[1] for it in log.announced), default=0) < first:
        raise Rejected("pruned-unrecorded", f"{names[0]}: the first {first} lines are gone, and no signed record says so")
    if log.marks:
        size, _, where = log.marks[0]
        raise Rejected("lines-missing", f"{where}: it covers {size} lines but the log has {log.tree.size}")
    return f"log verified: {log.tree.size} lines, {signed} of them signed" + (f", as {kept} says" if kept else "")


def verify_proof(path, key, line_path, earlier):
    head, _, note = read_text(path).partition("\n\n")
    size, root = key.open(note, path)
    lines = head.split("\n")
    if lines[0] == "c2sp.org/tlog-proof@v1":
        rest, line = lines[1:], None
        if rest and rest[0].startswith("extra "):
            line = unbase64(rest.pop(0)[6:], "proof-form", f"{path}: the extra data is no base64")
        if line_path:
            line = read(line_path)
            line = line[:-1] if line.endswith(b"\n") else line
        if line is None or not rest or not re.fullmatch("index (0|[1-9][0-9]*)", rest[0]):
            raise Rejected("proof-form", f"{path}: no index, or no line")
        index = int(rest.pop(0)[6:])
        proof = [unbase64(text, "proof-form", f"{path}: a hash is no base64") for text in rest]
        if not check_inclusion(index, leaf_hash(line), proof, size, root):
            raise Rejected("proof-wrong", f"{path}: the line is not in the log that the checkpoint signs")
        return f"proof verified: line {index} of {size}"
    match = re.fullmatch("old (0|[1-9][0-9]*)", lines[0])
    if not match or not earlier:
        raise Rejected("proof-form", f"{path}: no proof, or the earlier checkpoint was not given with --from")
    old, old_root = key.open(read_text(earlier), earlier)
    proof = [unbase64(text, "proof-form", f"{path}: a hash is no base64") for text in lines[1:]]
    if old != int(match.group(1)) or not check_consistency(old, old_root, size, root, proof):
        raise Rejected("proof-wrong", f"{path}: the later log does not begin with the lines of the earlier")
    return f"proof verified: {size} lines begin with the {old} of the earlier checkpoint"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    log, proof = commands.add_parser("log"), commands.add_parser("proof")
    log.add_argument("path")
    log.add_argument("--checkpoint")
    proof.add_argument("path")
    proof.add_argument("--line")
    proof.add_argument("--from", dest="earlier")
    for command in (log, proof):
        command.add_argument("--public-key", required=True)
    given = parser.parse_args()
    try:
        key = read_key(given.public_key)
        if given.command == "log":
            print(verify_log(given.path, key, given.checkpoint))
        else:
            print(verify_proof(given.path, key, given.line, given.earlier))
    except Rejected as rejected:
        print(f"REJECTED {rejected}")
        sys.exit(1)
    except OSError as error:
        print(f"REJECTED unreadable: {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
