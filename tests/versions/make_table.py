"""Writes facts.tsv: how `packaging` reads versions and specifiers.

    python3 -m venv /tmp/facts && /tmp/facts/bin/pip install packaging==26.4
    /tmp/facts/bin/python tests/versions/make_table.py > tests/versions/facts.tsv

One fact per line, fields separated by tabs, texts as JSON strings:

    version   TEXT NORMALISED RANK   in order; equal versions share a rank
    legacy    TEXT                   what packaging cannot read as a version
    specifier TEXT RUNS              the positions of the versions it contains, including pre-releases
    invalid   TEXT                   what packaging cannot read as a specifier

Positions count the version lines and then the legacy lines, from 0; a run is `3-7` or `9`.
"""

import json
import random
import sys

import packaging
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

RANDOM = random.Random(440)
LONG = ["9223372036854775807", "18446744073709551615", "18446744073709551616", "9" * 40, "1" + "0" * 40]

RELEASES = ["0", "0.0", "0.1", "1", "1.0", "1.0.0", "1.4", "1.4.0", "1.4.1", "1.5", "2", "10", "1.10", "2004.0"]
SUFFIXES = [
    "", "a0", "a1", "a2", "b1", "rc1", "rc2", ".dev0", ".dev1", ".post0", ".post1", ".post2",
    "a1.dev1", "a1.post0", "a1.post1", "a1.post1.dev2", "rc2.dev0", "rc2.post1",
    ".post1.dev0", ".post1.dev3", ".post2.dev1",
]
LOCALS = ["+local", "+1", "+2", "+10", "+abc.1", "+abc", "+abc.10", "+1.abc", "+0", "+00.7"]
SPELLINGS = [
    "v1.4", "V1.4", "1.4-1", "1.4-01", "1.4.rev1", "1.4r1", "1.4-r1", "1.4_post_1", "1.4.POST1", "1.4post",
    "1.4-alpha", "1.4ALPHA.1", "1.4.beta-2", "1.4_b_2", "1.4c1", "1.4.c.1", "1.4pre1", "1.4-preview_1", "1.4RC2",
    "1.4a.", "1.4a-", "1.4a--1", "1.4a-1-2", "1.4.post-", "1.4.dev", "1.4dev1", "1.4-dev", "1.4_DEV_3", "1.4.dev-",
    "01.04", "1.04a01", "1.4.post01", "1.4.dev007", "00!1.4", "1!01.4", "001!1.4", "1.4+Local", "1.4+a-b_c",
    "1.4+007", "1.4+A.07", " 1.4", "1.4 ", "\t1.4\n", "1.4\u00a0", "\u20031.4", "\x1c1.4", "1.4\x1f", "1.4.0.0.0",
    "1.4preview", "1.4rev", "1.4r", "1.4c", "1.4rc", "1.4b", "1.4a1r1", "1.4a1-1.dev1", "1.4-1.dev1", "1.4-1dev",
]
LEGACY = [
    "2004d", "1.0-final-2", "1.0-final", "dev", "trunk", "", " ", "1.4.", ".4", "1..4", "1.4-", "1.4--1", "1.4+",
    "1.4+-", "1.4+a..b", "1.4+a.", "1.4a1a2", "1.4.post1.post2", "1.4.dev1.dev2", "1.4.dev1.post1", "1.4.post1a1",
    "1!", "!1.4", "1!2!3", "-1!1.4", "-1.4", "v 1.4", "vv1.4", "1.4 a1", "1. 4", "1,4", "1.4*", "1.4.*", "1.x",
    "1.4+\u00e9", "1.4+\u212a", "1.4\u0430", "\u0661.4", "1.4\ufeff", "\ufeff1.4", "1.4a1_", "1.0_1", "1.0_final_2",
    "0.1-SNAPSHOT", "2.0.0-beta.1.2", "1.4.1.win32", "1.0.linux-x86_64", "5.0.0.2-py2.7", "r123", "1e5", "0x10", "1.4~1",
    "1.4.a1.1", "1.4-1-1", "1.4-1post", "1.4al", "1.4previe", "1.4rcc", "1.4p1", "1.4s1", "1.4rev1rev2", "1.4r1c1",
]
OPERATORS = ["===", "~=", "==", "!=", "<=", ">=", "<", ">"]
ODD_SPECIFIERS = [
    "", ",", ">=1,", ",<2", ">=1,,<2", " >= 1.4 , < 2 ", ">=1.4 <2", "1.4", "=1.4", "=>1.4", "<>1.4", "!1.4", "~1.4",
    "~=1", "~=1!1", "~=v1.4", "~= 1.4", "~=1.4.0", "~=1.4.*", "~=1.4+local", "~=1.4.post1", "~=1.4a1", "~=1.4.dev1",
    "~=1.4.1.0", "~=2004d", "==1.4.*", "==v1.4.*", "== 1.4.*", "==1.4 .*", "==1.4.* ", "==1.*.*", "==*", "==.*",
    "==1.4a1.*", "==1.4.post1.*", "==1.4.dev1.*", "==1.4+local.*", "==1!1.4.*", "!=1!1.*", "==0.*", "==0.0.*", "==1.0.*",
    "==1.0.0.*", "!=1.0.0.*", "==1.00.*", "==01.*", ">=1.4.*", "<=1.4.*", "<1.4.*", ">1.4.*", "===1.4.*", ">=1.4+local",
    "<=1.4+local", "<1.4+local", ">1.4+local", "==1.4+LOCAL", "==1.4+local.1", "!=1.4+local", "==1.4+a-b_c", "==2004d",
    "<2004d", "===2004d", "===2004D", "=== 2004d", "===2004d ", "===1.0-final-2", "===1.0_final_2", "===dev", "===DEV",
    "===", "=== ", "===1.4 1", "===1;4", "===1)4", "===(1.4", "====1.4", "===v1.4", "===1.4.0", "===V1.4", "==\u00a01.4",
    "==\t1.4\n", "\x1c==1.4", "==1.4\ufeff", "==1.4\u212a", "===1.4-ALPHA", "===1.4-alpha", "== =1.4", "> =1.4", "==1.4;",
    "==1.4)", "(==1.4)", "==1.4==1.5", "===2004d,>=1", "===2004d,!=2004d", "===1.4,>=1", "===1.4,===1.4.0", "===1.4,!=1.4",
]


def texts():
    """Every version text that is tried: those seen in practice, all combinations, and random ones."""
    found = [release + suffix for release in RELEASES for suffix in SUFFIXES]
    found += [release + suffix + local for release in ["1.4", "2", "1!1.4"] for suffix in SUFFIXES[:17:2] for local in LOCALS]
    found += ["1!" + release + suffix for release in ["0", "1.4", "1.4.0", "2"] for suffix in SUFFIXES[::2]]
    found += ["2!0", "10!1.4", "9!1.4"] + SPELLINGS
    for long in LONG:
        found += [f"{long}.1", f"1.{long}", f"1.4.{long}", f"1.4a{long}", f"1.4.post{long}", f"1.4.dev{long}"]
        found += [f"{long}!1.4", f"1.4+{long}", f"1.4+a.{long}", f"1.{long}.dev1", f"1.4a{long}.post1", f"0{long}"]
    for _ in range(150):
        release = ".".join(str(RANDOM.choice([0, 0, 1, 1, 2, 4, 10, 2**64])) for _ in range(RANDOM.randint(1, 5)))
        epoch = RANDOM.choice(["", "", "", "1!", "0!"])
        local = RANDOM.choice(["", "", "", RANDOM.choice(LOCALS)])
        found.append(epoch + release + RANDOM.choice(SUFFIXES) + local)
    return list(dict.fromkeys(found))


def specifiers(versions):
    """Each operator with a share of the texts, wildcards, sets of two and three, and odd ones."""
    bases = [text for text in versions if "+" not in text or text.startswith("1.4")]
    found = list(ODD_SPECIFIERS)
    for text in bases:
        found += [operator + text for operator in OPERATORS[1:]]
    found += ["===" + text for text in versions[::5] + SPELLINGS + LEGACY]
    for release in dict.fromkeys(text.split("+")[0] for text in versions):
        found += [f"=={release}.*", f"!={release}.*"]
    plain = [text for text in found if "," not in text]
    for _ in range(250):
        found.append(RANDOM.choice([",", ", "]).join(RANDOM.sample(plain, RANDOM.randint(2, 3))))
    return list(dict.fromkeys(found))


def runs(positions):
    """Turns 0, 1, 2, 5 into `0-2,5`."""
    found = []
    for position in positions:
        if found and found[-1][1] == position - 1:
            found[-1][1] = position
        else:
            found.append([position, position])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in found)


def main():
    readable, legacy = [], []
    for text in texts() + LEGACY:
        try:
            readable.append((Version(text), text))
        except InvalidVersion:
            legacy.append(text)
    readable.sort(key=lambda pair: pair[0])
    quoted = lambda text: json.dumps(text)
    line = lambda *fields: print("\t".join(map(str, fields)))
    line(f"# packaging {packaging.__version__}, written by make_table.py")
    rank, before = -1, None
    for version, text in readable:
        rank += version != before
        before = version
        line("version", quoted(text), quoted(str(version)), rank)
    for text in legacy:
        line("legacy", quoted(text))
    everything = [text for _, text in readable] + legacy
    pairs = 0
    for text in specifiers([text for _, text in readable]):
        try:
            specifier = SpecifierSet(text)
        except InvalidSpecifier:
            line("invalid", quoted(text))
            continue
        contained = [place for place, one in enumerate(everything) if specifier.contains(one, prereleases=True)]
        line("specifier", quoted(text), runs(contained))
        pairs += len(everything)
    print(f"{len(everything)} versions, {pairs} pairs", file=sys.stderr)


main()
