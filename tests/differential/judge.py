"""Compares what Cordon made of messages with the verdict of an independent XSD 1.1 validator.

judge.py MESSAGES SHARED EXEMPTIONS. Fails on a disagreement that EXEMPTIONS does not name, and on an exemption
that nothing needs any more.
"""

import collections
import json
import re
import sys
import tempfile
import time
import warnings
import xml.etree.ElementTree as ET
from pathlib import Path

import xmlschema
from xmlschema.validators import facets

import interface

SOAP11 = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP12 = "http://www.w3.org/2003/05/soap-envelope"
# What an incomplete answer may lack: elements, attributes, and words of a list; lengths count with them.
INCOMPLETE = {"missing", "listed"}
SHOWN_MAX = 40
# Messages among which every exemption must be needed.
LONG_RUN = 50_000
# What must be refused, or be a deviation.
NOTICED = {"malformed", "unknown element", "unknown attribute", "wrong type", "listed", "text"}


def errors_of(schema, text):
    """The validator's objections as (class, words); `malformed` alone if it is no XML."""
    try:
        root = ET.fromstring(text.encode())
    except ET.ParseError as error:
        return [("malformed", str(error))]
    if root.tag == "{%s}Envelope" % SOAP11:
        # No schema of SOAP 1.1 is at hand, and only the body is judged.
        text = text.replace(SOAP11, SOAP12)
        root = ET.fromstring(text.encode())
    body = root
    inside = root.tag == "{%s}Envelope" % SOAP12
    if inside:
        body = next((it[0] for it in root if it.tag == "{%s}Body" % SOAP12 and len(it)), None)
    if body is None:
        return [("root", "an empty body")]
    if body.tag not in schema.maps.elements:
        return [("root", body.tag)]
    text = re.sub(r"^\ufeff?\s*<\?xml.*?\?>\s*", "", text, flags=re.S)
    found = []
    try:
        for error in schema.iter_errors(text):
            if not inside or "Body/" in (error.path or ""):
                found.append((kind_of(error), f"{error.path}: {error.reason}"))
    except KeyError as error:
        # It does not survive an `xsi:type` that names no type.
        found.append(("xsi:type", str(error)))
    return found


def kind_of(error):
    """The class of an objection: what is wrong, as far as Cordon tells it apart."""
    reason = error.reason or ""
    if isinstance(error, xmlschema.XMLSchemaChildrenValidationError):
        group = error.validator
        known = {it.name for it in group.iter_elements() if it.name} if hasattr(group, "iter_elements") else set()
        if "not complete" in reason:
            return "missing"
        # A known one at a place that is not its own: something before it is missing, or there are too many.
        return "missing" if error.invalid_tag in known else "unknown element"
    if "missing required attribute" in reason:
        return "missing"
    if "attribute not allowed" in reason:
        # `xml:lang` and its like are left out without a word, as `xsi:` attributes are.
        return "xml: attribute" if "XML/1998/namespace" in reason else "unknown attribute"
    if "nillable" in reason or "xsi:nil" in reason:
        return "xsi:nil"
    if "cannot substitute" in reason or "global component" in reason or "unknown type" in reason:
        return "xsi:type"
    if "IDREF" in reason or "duplicated xs:ID" in reason:
        return "reference inside the message"
    lengths = (facets.XsdLengthFacet, facets.XsdMinLengthFacet, facets.XsdMaxLengthFacet)
    if isinstance(error.validator, (facets.XsdEnumerationFacets, *lengths)):
        return "listed"
    if "character data" in reason:
        return "text"
    return "wrong type"


def verdict_of(line, schema):
    """None where both agree, else a disagreement as (rule, words)."""
    given = errors_of(schema, line["input"])
    if "output" not in line:
        if not given:
            return f"refused although valid: {line['refused'].split(':')[0]}", line["refused"]
        return None, given
    sent = given if line["output"] == line["input"] else errors_of(schema, line["output"])
    kinds = {kind for kind, _ in line["deviations"]} | ({"unnamed"} if line["unnamed"] else set())
    if kinds & {"incomplete", "unnamed"}:
        sent = [(kind, words) for kind, words in sent if kind not in INCOMPLETE]
    for kind, words in sent:
        return f"sent with {kind}", words
    # What is sent is valid and what came was not: that must be on record. Of requests only the order is forgiven.
    if given and not kinds:
        # White space around texts is put right without a word.
        tidy = re.sub(r">\s+|\s+<", lambda it: it.group(0).strip(), line["input"])
        for kind, words in errors_of(schema, tidy):
            if kind in NOTICED:
                return f"passed unnoticed: {kind}", words
    return None, given


def outcome_of(line):
    if "refused" in line:
        return "refused"
    kinds = {kind for kind, _ in line["deviations"]}
    return next((it for it in ("incomplete", "drop", "repair") if it in kinds), "taken")


def main():
    messages, shared, exempt = map(Path, sys.argv[1:4])
    warnings.simplefilter("ignore")
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        schema = interface.load(shared, Path(folder))
    table = collections.Counter()
    wrong = collections.defaultdict(list)
    for text in messages.open(encoding="utf-8"):
        line = json.loads(text)
        rule, words = verdict_of(line, schema)
        verdict = "disagreement" if rule else "invalid" if words else "valid"
        table[line["kind"], outcome_of(line), verdict] += 1
        if rule:
            wrong[re.sub(r"\[\d+\]", "", f"{rule}: {words}")].append(line)
    sys.exit(report(table, wrong, exempt, time.monotonic() - started))


def report(table, wrong, exempt, seconds):
    """Prints the table and what is wrong; the exit code."""
    print(f"{'messages':12}{'Cordon':14}{'the validator, of what came':30}{'n':>8}")
    for (kind, outcome, verdict), count in sorted(table.items()):
        print(f"{kind:12}{outcome:14}{verdict:30}{count:8}")
    rows = [it.split("\t") for it in exempt.read_text().splitlines() if it and not it.startswith("#")]
    exemptions = [(re.compile(pattern), reason) for pattern, reason in rows]
    unnamed = dict(wrong)
    failed = False
    for pattern, reason in exemptions:
        named = [name for name in unnamed if pattern.search(name)]
        count = sum(len(unnamed.pop(name)) for name in named)
        print(f"exempt {count:6} x {pattern.pattern}  ({reason})")
        if not count and sum(table.values()) >= LONG_RUN:
            failed = True
            print(f"take it out of {exempt.name}: nothing needs it any more")
    for name, lines in sorted(unnamed.items(), key=lambda it: -len(it[1]))[:SHOWN_MAX]:
        line = lines[0]
        print(f"\n{len(lines)} x {name}\n  {line['message']} {line['what']}\n  came {line['input'][:2000]}")
        print(f"  sent {line.get('output', '')[:2000]}\n  {line.get('deviations')}")
    total = sum(table.values())
    failing = sum(map(len, unnamed.values()))
    bound = f", at most 1 in {total // 3} at 95 %" if total and not failing else ""
    print(f"{failing} disagreements in n = {total} messages{bound}; {seconds:.0f} s")
    return 1 if failed or unnamed or not total else 0


main()
