"""The official interface as one XSD 1.1 schema of an independent validator.

The files of the shared folder are taken as they are, but for where they say others lie: imports are resolved by
namespace. Of two files that define the same services the one with the shorter path counts, as in Cordon.
"""

import re
from pathlib import Path

import xmlschema

XS = "http://www.w3.org/2001/XMLSchema"
SCHEMA = re.compile(r"<(?P<prefix>(?:\w+:)?)schema\b[^>]*?(?:/>|>.*?</(?P=prefix)schema\s*>)", re.S)
DECLARED = re.compile(r"""xmlns(?::([\w.-]+))?\s*=\s*(["'])(.*?)\2""", re.S)


def official_files(shared: Path):
    """The texts of all official WSDL and XSD files, shortest path first."""
    files = []
    for top in (shared / "onvif" / "wsdl", shared / "onvif" / "external"):
        for path in top.rglob("*"):
            if path.is_file() and path.suffix in (".wsdl", ".xsd", ""):
                name = str(path.relative_to(top))
                files.append((len(name), name, path))
    return [path.read_text(encoding="utf-8-sig") for _, _, path in sorted(files)]


def tag_of(text: str) -> str:
    """The first start tag of a text, prolog and comments aside."""
    text = re.sub(r"<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^\[>]*(\[.*?\])?\s*>", "", text, flags=re.S).lstrip()
    return text[: text.index(">") + 1]


def attribute(tag: str, name: str):
    found = re.search(rf"""\s{name}\s*=\s*(["'])(.*?)\1""", tag, re.S)
    return found and found.group(2)


def schemas_of(text: str):
    """Each schema of a file, with the prefixes declared around it."""
    text = re.sub(r"<!--.*?-->|<!DOCTYPE[^\[>]*(\[.*?\])?\s*>", "", text, flags=re.S)
    outer = {prefix: uri for prefix, _, uri in DECLARED.findall(tag_of(text))}
    for found in SCHEMA.finditer(text):
        schema = found.group(0)
        tag = schema[: schema.index(">")]
        own = {prefix for prefix, _, _ in DECLARED.findall(tag)}
        missing = "".join(
            f' xmlns{":" + prefix if prefix else ""}="{uri}"' for prefix, uri in outer.items() if prefix not in own
        )
        at = re.match(r"<[\w:]+", schema).end()
        yield attribute(tag, "targetNamespace"), schema[:at] + missing + schema[at:]


def load(shared: Path, folder: Path) -> xmlschema.XMLSchema11:
    """Writes the schemas below `folder`, one file for each namespace and one for all, and builds them."""
    parts = {}
    services = set()
    for text in official_files(shared):
        tag = tag_of(text)
        if re.match(r"<(\w+:)?definitions", tag):
            target = attribute(tag, "targetNamespace")
            if target in services:
                continue
            services.add(target)
        whole_file = re.match(r"<(\w+:)?schema", tag) is not None
        for namespace, schema in schemas_of(text):
            if namespace is None:
                continue
            known = parts.setdefault(namespace, [])
            # Of the other publishers' schemas the first counts; ONVIF splits its own over several files.
            if not (whole_file and known and "www.onvif.org" not in namespace):
                known.append(schema)
    number = {namespace: index for index, namespace in enumerate(parts)}

    def at_home(found):
        namespace = attribute(found.group(0), "namespace")
        if namespace not in number:
            return found.group(0)
        return f'<xs:import xmlns:xs="{XS}" namespace="{namespace}" schemaLocation="{number[namespace]}.xsd"/>'

    folder.mkdir(parents=True, exist_ok=True)
    for namespace, texts in parts.items():
        includes = ""
        for index, text in enumerate(texts):
            text = re.sub(r"<(\w+:)?include\b[^>]*?/>", "", text)
            text = re.sub(r"<((?:\w+:)?)import\b[^>]*?(/>|>\s*</\1import\s*>)", at_home, text)
            name = f"{number[namespace]}-{index}.xsd"
            (folder / name).write_text(text, encoding="utf-8")
            includes += f'<xs:include schemaLocation="{name}"/>'
        (folder / f"{number[namespace]}.xsd").write_text(
            f'<xs:schema xmlns:xs="{XS}" targetNamespace="{namespace}">{includes}</xs:schema>', encoding="utf-8"
        )
    everything = "".join(
        f'<xs:import namespace="{namespace}" schemaLocation="{index}.xsd"/>' for namespace, index in number.items()
    )
    path = folder / "all.xsd"
    path.write_text(f'<xs:schema xmlns:xs="{XS}">{everything}</xs:schema>', encoding="utf-8")
    return xmlschema.XMLSchema11(str(path), allow="local", loglevel=50)
