"""A built dataset to the Hugging Face Hub: what would change there, and one commit that does it.

contents.py   what of a built dataset is released, checked before anything is sent
remote.py     what the repository holds now
plan.py       one against the other: what is new, changed, unchanged, removed
push.py       large files first, then one commit on what was seen
"""

from advgen.hub_release.contents import LocalFile, Release, read_release
from advgen.hub_release.faults import push_fault
from advgen.hub_release.plan import FileChange, PushPlan, make_plan
from advgen.hub_release.push import Pushed, push_dataset
from advgen.hub_release.remote import Remote, RemoteFile, read_remote

__all__ = [
    "FileChange",
    "LocalFile",
    "PushPlan",
    "Pushed",
    "Release",
    "Remote",
    "RemoteFile",
    "make_plan",
    "push_dataset",
    "push_fault",
    "read_release",
    "read_remote",
]
