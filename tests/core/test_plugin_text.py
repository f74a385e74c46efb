"""The text of a plugin without the folders of the machine."""

import pytest

from nas.core.plugin_text import without_folders


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("imagefolder:/home/me/data/pets", "imagefolder:pets"),
        ("imagefolder:/home//me/pets/", "imagefolder:pets"),
        ("imagefolder:file:///home/me/pets", "imagefolder:pets"),
        ("imagefolder:~bob/pets", "imagefolder:pets"),
        ("imagefolder:/home/me/pets (old)/cats", "imagefolder:cats"),
        ('imagefolder:"/home/me/a,b=c/pets",val=0.2', "imagefolder:pets,val=0.2"),
        ("csv:labels.csv,images=/home/me/x", "csv:labels.csv,images=x"),
        ("csv:~/labels.csv,val=0.2", "csv:labels.csv,val=0.2"),
        ("imagefolder:C:\\Users\\me\\pets", "imagefolder:pets"),
        ("C:\\Users\\me\\mine.yaml", "mine.yaml"),
        ("/home/me/mine.yaml:lr=0.01", "mine.yaml:lr=0.01"),
        ("../spaces/mine.yaml", "mine.yaml"),
        ('/home/me/"odd.yaml', '"odd.yaml'),
        ("data/pets", "data/pets"),
        ("imagefolder:data/pets", "imagefolder:data/pets"),
        ("hf:user/flowers", "hf:user/flowers"),
        ("cats / dogs", "cats / dogs"),
        ("imagefolder:s3://bucket/pets", "imagefolder:s3://bucket/pets"),
        ("s3://bucket/mine.yaml", "s3://bucket/mine.yaml"),
        ("https://me:secret@host/x.yaml", "https://***@host/x.yaml"),
        ("pixel1", "pixel1"),
        ("", ""),
    ],
)
def test_what_is_published_says_nothing_of_folders_here(name: str, published: str) -> None:
    assert without_folders(name) == published
