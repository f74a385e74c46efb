"""Print a recipe as a file that trains in the same way."""

import click

from nas.cli._options import JSON
from nas.cli._print import print_json
from nas.core.data import to_yaml
from nas.training.recipe_files import load_recipe, to_mapping


@click.command("show")
@click.argument("recipe")
@JSON
def command(recipe: str, as_json: bool) -> None:
    """Print RECIPE as YAML, to be edited and used as --recipe FILE.

    RECIPE is a name ("quick"), a name with options ("quick:lr=0.003,flip=true"), or a file.
    """
    content = to_mapping(load_recipe(recipe))
    if as_json:
        print_json(content)
    else:
        click.echo(to_yaml(content), nl=False)
