import json

import pytest

from advgen.decisions import Decision, read_decisions, write_rows
from advgen.errors import ConfigError, DataError
from advgen.exports import Vote, decide, export_dataset, open_source, read_import

KNOWN = {"r/a": "1" * 64, "r/b": "2" * 64, "r/c": "3" * 64}


def read(tmp_path, text, form="csv", known=KNOWN):
    path = tmp_path / f"file.{form}"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_import(path, form, known)


def told(report):
    return [(d.id, d.status, d.true_visible, d.target_visible) for d in report.decisions]


@pytest.mark.parametrize(
    ("yes", "no", "unsure"),
    [("yes", "no", "unsure"), ("TRUE", "FALSE", ""), ("1", "0", "?"), ("ja", "Nein", "n/a")],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_spreadsheets(tmp_path, yes, no, unsure, encoding, mark):
    lines = [["ID", "True visible", "target-visible", "Reasons"], ["r/a", yes, no, ""]]
    lines += [["r/b", no, no, "broken"], ["r/c", yes, unsure, ""]]
    text = "".join(mark.join(line) + "\r\n" for line in lines)
    report = read(tmp_path, text.encode(encoding))
    assert told(report) == [
        ("r/a", "accepted", True, False),
        ("r/b", "rejected", False, False),
        ("r/c", "unsure", True, None),
    ]
    assert report.decisions[1].reasons == ("broken",)
    assert not report.problems


def test_a_table_with_everything_wrong_in_it(tmp_path):
    text = """sep=;
id;sha256;true_visible;target_visible;reasons;reviewer
r/a;;yes;no;;Ann
r/a;;yes;yes;;Bob
r/a;;no;no;;Bob
r/b;;maybe;no;;Ann
r/b;;;;;Ann
r/x;;yes;no;;Ann
r/c;{old};yes;no;;Ann
;;yes;no;;Ann
""".format(old="9" * 64)
    report = read(tmp_path, text)
    assert told(report) == [("r/a", "unsure", None, False)]
    assert report.decisions[0].reviewers == ("Ann", "Bob")
    assert report.decisions[0].votes == report.read == 2
    assert report.contradicting == report.repeated == ["r/a"]
    assert (report.unknown, report.stale, report.empty) == (["r/x"], ["r/c"], 1)
    assert report.problems == [
        "line 5: true_visible is 'maybe'; write yes, no or unsure",
        "line 9: it has no id",
    ]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"status": "accepted", "true_visible": False}, "says accepted"),
        ({"status": "fine"}, "status is 'fine'"),
        ({"status": "rejected", "votes": "many"}, "no number"),
        ({"status": "rejected", "votes": 0}, "at least 1"),
        ({"status": "rejected", "agreement": float("nan")}, "from 0 to 1"),
        ({"status": "rejected", "votes": 1e999}, "no number"),
        ({"reasons": {"a": 1}, "true_visible": "yes"}, "expected a text or a list"),
        ({"reasons": "x" * 300}, "longer than"),
        ({"id": 7, "status": "accepted"}, "no id"),
    ],
)
def test_lines_that_are_refused(tmp_path, row, expected):
    report = read(tmp_path, json.dumps({"id": "r/a", **row}), "jsonl")
    assert not report.decisions
    assert len(report.problems) == 1 and expected in report.problems[0]


def test_decisions_come_back_as_they_were(tmp_path):
    decisions = [
        Decision("r/a", "1" * 64, "accepted", True, False, (), 3, ("Ann", "Bob", "Cy"), 1.0),
        Decision("r/b", "2" * 64, "rejected", None, None, ("broken",), 2, ("Ann",), 0.5),
        Decision("r/c", "3" * 64, "unsure", True, None),
    ]
    write_rows(decisions, tmp_path / "file.jsonl")
    assert read(tmp_path, (tmp_path / "file.jsonl").read_bytes(), "jsonl").decisions == decisions


def test_jsonl_goes_on_after_a_broken_line(tmp_path):
    deep = "[" * 100_000
    report = read(tmp_path, f'{{"id": "r/a", "status": "accepted"}}\n\nx\n[]\n{deep}\n', "jsonl")
    assert told(report) == [("r/a", "accepted", None, None)]
    assert [problem.split(":")[0] for problem in report.problems] == ["line 3", "line 4", "line 5"]


@pytest.mark.parametrize(
    ("form", "text", "message"),
    [
        ("csv", "", "no column 'id'"),
        ("csv", "name,status\nx,accepted\n", "no column 'id'"),
        ("csv", "id,margin\nx,1\n", "no column 'true_visible'"),
        ("csv", 'id,status\n"r/a,accepted\n', "not CSV"),
        ("csv", b"id,status\nr/\xe4,accepted\n", "not UTF-8"),
        ("label-studio", "{", "not JSON"),
        ("label-studio", '{"a": 1}', "JSON-MIN"),
        ("label-studio", '[{"id": 1, "image": "x", "true_visible": "yes"}]', "JSON-MIN"),
        ("label-studio", "[" * 100_000, "not JSON"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, form, text, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, text, form)


def test_unknown_format_and_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="label-studio, csv, jsonl"):
        read_import(tmp_path / "x", "xls", KNOWN)
    with pytest.raises(DataError, match="cannot be read"):
        read_import(tmp_path / "x", "csv", KNOWN)


@pytest.mark.parametrize(
    ("votes", "status", "agreement"),
    [
        (["accepted"], "accepted", 1.0),
        (["accepted", "accepted", "rejected"], "accepted", 2 / 3),
        (["accepted", "rejected"], "unsure", 0.0),
        (["accepted", "rejected", "unsure"], "unsure", 1 / 3),
        (["rejected", "rejected", "unsure"], "rejected", 2 / 3),
        (["accepted", "accepted", "rejected", "unsure"], "unsure", 1 / 4),
    ],
)
def test_majority(votes, status, agreement):
    cast = [Vote(id="a", status=vote, reviewers=(str(i),)) for i, vote in enumerate(votes)]
    decision = decide(cast, "0" * 64)
    assert (decision.status, decision.agreement) == (status, pytest.approx(agreement))
    assert decision.votes == len(votes)


def test_no_votes():
    with pytest.raises(ValueError, match="at least one vote"):
        decide([], "0" * 64)


def annotation(number, by, answers, time="2026-01-01T00:00:00Z", **other):
    """As the JSON export has it; predictions and drafts stand beside it."""
    result = [
        {
            "id": f"x{number}",
            "type": "choices",
            "from_name": field,
            "to_name": "image",
            "origin": "manual",
            "value": {"choices": chosen},
        }
        for field, chosen in answers.items()
    ]
    known = {"id": number, "completed_by": by, "was_cancelled": False, "ground_truth": False}
    known |= {"created_at": time, "updated_at": time, "lead_time": 2.5, "draft_created_at": None}
    return {**known, "result": result, **other}


def task(number, name, *annotations, **data):
    sha256 = KNOWN.get(name, "0" * 64)
    shown = {"image": "/data/local-files/?d=images/x.png", "advgen_id": name, "sha256": sha256}
    return {
        "id": number,
        "data": {**shown, **data},
        "annotations": list(annotations),
        "predictions": [{"model_version": "vlm", "result": [], "score": 0.5}],
        "drafts": [],
        "cancelled_annotations": 0,
        "total_annotations": len(annotations),
        "project": 1,
    }


ACCEPT = {"true_visible": ["yes"], "target_visible": ["no"]}
REJECT = {"true_visible": ["no"], "target_visible": ["no"], "reasons": ["broken", "unclear"]}


def test_label_studio_export(tmp_path):
    ann = {"id": 1, "email": "ann@example.org", "first_name": "Ann", "last_name": "A"}
    tasks = [
        task(
            1,
            "r/a",
            annotation(11, 1, REJECT, "2026-01-03T00:00:00Z"),
            annotation(10, ann, ACCEPT, "2026-01-02T00:00:00Z"),
            annotation(12, 2, ACCEPT, "2026-01-01T00:00:00Z", was_cancelled=True),
        ),
        task(2, "r/b", annotation(13, 1, ACCEPT), annotation(14, 2, REJECT)),
        task(3, "r/c", annotation(15, 1, {"true_visible": ["unsure"], "other": ["yes"]})),
        task(4, "r/c", annotation(16, 2, {})),
        task(5, "r/x", annotation(17, 1, ACCEPT)),
        task(6, "r/a", annotation(18, 3, ACCEPT), sha256="9" * 64),
        task(7, "r/b", annotation(19, 3, {"true_visible": ["yes", "no"]})),
        task(8, "r/b", annotation(20, 3, {}, result=None)),
        task(9, "r/b", annotation(21, 4, ACCEPT), advgen_id=None),
    ]
    report = read(tmp_path, json.dumps(tasks), "label-studio")
    assert told(report) == [
        ("r/a", "rejected", False, False),
        ("r/b", "unsure", None, False),
        ("r/c", "unsure", None, None),
    ]
    assert report.decisions[0].reasons == ("broken", "unclear")
    assert report.decisions[0].reviewers == ("annotator 1",)  # no name, no address
    assert report.decisions[1].reviewers == ("annotator 1", "annotator 2")
    assert (report.cancelled, report.empty, report.read) == (1, 1, 4)
    assert (report.repeated, report.contradicting) == (["r/a"], ["r/b"])
    assert (report.unknown, report.stale) == (["r/x"], ["r/a"])
    assert [problem.partition(":")[0] for problem in sorted(report.problems)] == [
        "task 7, annotation 19",
        "task 8, annotation 20",
        "task 9, annotation 21",
    ]


def test_from_the_exported_tasks_and_the_sheet_back(make_run, tmp_path):
    source = open_source(make_run())
    for form in ("label-studio", "csv"):
        export_dataset(source, form, tmp_path / form)
    tasks = json.loads((tmp_path / "label-studio" / "tasks.json").read_text())
    answered = [
        {**t, "id": i, "annotations": [annotation(i, 1, ACCEPT)]} for i, t in enumerate(tasks)
    ]
    report = read(tmp_path, json.dumps(answered), "label-studio", source.identities())
    assert [(d.id, d.sha256, d.status) for d in report.decisions] == [
        (name, sha256, "accepted") for name, sha256 in source.identities().items()
    ]
    sheet = (tmp_path / "csv" / "decisions.csv").read_text()
    assert read(tmp_path, sheet, "csv", source.identities()).empty == 3
    filled = sheet.replace(",,,,\n", ",yes,no,,Ann\n")
    report = read(tmp_path, filled, "csv", source.identities())
    assert [(d.status, d.reviewers) for d in report.decisions] == [("accepted", ("Ann",))] * 3


def test_ids_of_a_built_dataset_are_those_of_its_run(tmp_path):
    text = f"id,sha256,status\n0a1b2c/r/a,{'1' * 64},accepted\n0a1b2c/r/b,{'9' * 64},accepted\n"
    report = read(tmp_path, text)
    assert [decision.id for decision in report.decisions] == ["r/a"]
    assert report.unknown == ["0a1b2c/r/b"]
    write_rows(report.decisions, tmp_path / "decisions.jsonl")
    assert read_decisions(tmp_path / "decisions.jsonl") == report.decisions
