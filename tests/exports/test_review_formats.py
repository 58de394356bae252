"""FiftyOne, Label Studio, Argilla: against schemas, and whether their parts fit together."""

import base64
import json
import re
import stat
from xml.etree import ElementTree

import pytest
import yaml

from advgen.dataset.fiftyone import hub_config
from advgen.exports import ExportOptions, export_dataset, open_source
from advgen.exports.label_studio import labels_xml

INTERFACE = """\
<View>
  <Image name="image" value="$image" zoom="true" />
  <Header value="$true_visible_question" />
  <Choices name="true_visible" toName="image" showInline="true" choice="single" required="true">
    <Choice value="yes" hotkey="1" />
    <Choice value="no" hotkey="2" />
    <Choice value="unsure" hotkey="3" />
  </Choices>
  <Header value="$target_visible_question" />
  <Choices name="target_visible" toName="image" showInline="true" choice="single" required="true">
    <Choice value="yes" hotkey="4" />
    <Choice value="no" hotkey="5" />
    <Choice value="unsure" hotkey="6" />
  </Choices>
  <Header value="Anything against the image?" />
  <Choices name="reasons" toName="image" showInline="true" choice="multiple">
    <Choice value="broken" hotkey="7" />
    <Choice value="offensive" hotkey="8" />
    <Choice value="unclear" hotkey="9" />
  </Choices>
  <Text name="description" value="$description" />
</View>
"""


def as_object(element):
    """XML as Label Studio's schema sees it: attributes as @name, children in lists."""
    found = {f"@{name}": value for name, value in element.attrib.items()}
    for child in element:
        found.setdefault(child.tag, []).append(as_object(child))
    return found


def test_fiftyone(awkward, tmp_path, conforms):
    out = tmp_path / "out"
    export_dataset(open_source(awkward), "fiftyone", out, options=ExportOptions(name="mine"))
    labels = json.loads((out / "labels.json").read_text(encoding="utf-8"))
    conforms(labels, "fiftyone_labels")
    # The importer finds the image of a label by its path below data/ without the extension.
    stems = [path.relative_to(out / "data").with_suffix("") for path in (out / "data").rglob("*.*")]
    assert sorted(str(stem) for stem in stems) == sorted(labels["labels"])
    assert [labels["classes"][index] for index in labels["labels"].values()] == [
        row.true_class for row in open_source(awkward).rows()
    ]
    config = yaml.safe_load((out / "fiftyone.yml").read_text())
    assert (config["format"], config["name"]) == ("FiftyOneImageClassificationDataset", "mine")


def test_fiftyone_on_the_hub():
    assert yaml.safe_load(hub_config("a: b", "cc0-1.0")) == {
        "format": "ParquetFilesDataset",
        "name": "a: b",
        "license": "cc0-1.0",
        "filepath": "image",
        "classification_fields": ["true_class", "target_class"],
        "tags": ["fiftyone", "image", "image-classification"],
    }


def test_label_studio(awkward, tmp_path, conforms):
    out = tmp_path / "out"
    export_dataset(open_source(awkward), "label-studio", out)
    tasks = json.loads((out / "tasks.json").read_text(encoding="utf-8"))
    conforms(tasks, "label_studio_tasks")
    root = ElementTree.parse(out / "labels.xml").getroot()
    conforms({root.tag: as_object(root)}, "label_studio_config")
    offered = {
        choices.get("name"): [choice.get("value") for choice in choices]
        for choices in root.iter("Choices")
    }
    wanted = {
        name
        for element in root.iter()
        for name in re.findall(r"^\$(\w+)", element.get("value", ""))
    }
    assert [task["data"]["advgen_id"] for task in tasks] == list(open_source(awkward).identities())
    for task in tasks:
        assert wanted <= set(task["data"])
        assert (out / task["data"]["image"].partition("?d=")[2]).is_file()
        for part in task["predictions"][0]["result"]:
            assert part["to_name"] == root.find("Image").get("name")
            assert part["value"]["choices"][0] in offered[part["from_name"]]
    assert tasks[0]["predictions"][0]["model_version"] == "vlm+owl"
    assert tasks[0]["predictions"][0]["score"] == 0.75  # present 0.875, target not absent 0.25
    answers = [part["value"]["choices"] for part in tasks[0]["predictions"][0]["result"]]
    assert answers == [["yes"], ["yes"]]
    assert (out / "launch.sh").stat().st_mode & stat.S_IXUSR
    assert "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT=" in (out / "launch.sh").read_text()
    assert len({key for choices in root.iter("Choice") for key in choices.get("hotkey")}) == 9


def test_labelling_interface():
    assert labels_xml() == INTERFACE


def test_argilla(awkward, tmp_path, conforms):
    out = tmp_path / "out"
    export_dataset(open_source(awkward), "argilla", out, options=ExportOptions(name="mine"))
    settings = json.loads((out / ".argilla" / "settings.json").read_text(encoding="utf-8"))
    records = json.loads((out / "records.json").read_text(encoding="utf-8"))
    dataset = json.loads((out / ".argilla" / "dataset.json").read_text(encoding="utf-8"))
    conforms(settings, "argilla_settings")
    conforms(records, "argilla_records")
    assert dataset["name"] == "mine"
    parts = {
        kind: [part["name"] for part in settings[kind]]
        for kind in ("fields", "questions", "metadata")
    }
    assert len(set(sum(parts.values(), []))) == sum(map(len, parts.values()))
    offered = {
        part["name"]: [option["value"] for option in part["settings"]["options"]]
        for part in settings["questions"]
    }
    for record, row in zip(records, open_source(awkward).rows(), strict=True):
        assert list(record["fields"]) == parts["fields"]
        assert list(record["metadata"]) == parts["metadata"]
        assert base64.b64decode(record["fields"]["image"].partition(",")[2]) == row.image
        for field, suggestion in record["suggestions"].items():
            assert suggestion["value"] in offered[field]


@pytest.mark.parametrize("form", ["label-studio", "argilla"])
def test_without_suggestions(make_built, tmp_path, form):
    unjudged = {"verification": {"status": "unverified", "by": "", "judges": []}}
    one, two = make_built([{}]), make_built([unjudged], name="unjudged")
    hidden = ExportOptions(suggestions=False)
    export_dataset(open_source(one), form, tmp_path / "one", options=hidden)
    export_dataset(open_source(two), form, tmp_path / "two")
    name = "tasks.json" if form == "label-studio" else "records.json"
    for out in ("one", "two"):
        (entry,) = json.loads((tmp_path / out / name).read_text(encoding="utf-8"))
        assert not entry.get("predictions") and not entry.get("suggestions")


def test_a_run_names_its_judge(make_run, tmp_path):
    export_dataset(open_source(make_run()), "label-studio", tmp_path / "out")
    tasks = json.loads((tmp_path / "out" / "tasks.json").read_text(encoding="utf-8"))
    (prediction,) = tasks[0]["predictions"]
    assert prediction["model_version"] == "sandbox"
    assert [part["value"]["choices"] for part in prediction["result"]] == [["yes"], ["yes"]]


def test_the_schema_reader_refuses(conforms):
    with pytest.raises(AssertionError):
        conforms({"classes": ["a"], "labels": {"x": True}}, "fiftyone_labels")
    with pytest.raises(AssertionError):
        conforms([{"data": {"image": "../x.png"}}], "label_studio_tasks")
