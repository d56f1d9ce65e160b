"""Read `people.yaml`, in the folder of pipelines."""

from pydantic import ValidationError

from factory_assets.declarations.loader import dotted, new_pipelines_folder
from factory_assets.declarations.messages import mistakes
from factory_assets.declarations.yaml_document import NotYaml, parse
from factory_assets.spec.people import People, Person
from factory_resources.errors import DeclarationError

FILE = "people.yaml"


def load_people() -> dict[str, Person]:
    """Return everybody by name; nobody if there is no `people.yaml`.

    Raises:
        DeclarationError: the file is wrong; with its line if it is known.
    """
    file = new_pipelines_folder() / FILE
    try:
        document = parse(file.read_bytes())
        data = {} if document.data is None else document.data
        return People.model_validate(data).root
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise DeclarationError(
            f"cannot be read ({error.strerror})", where=str(file), remedy="change its rights"
        ) from error
    except NotYaml as error:
        raise DeclarationError(
            error.message, where=f"{file}:{error.line}", remedy="correct it"
        ) from error
    except ValidationError as error:
        first = mistakes(error, data)[0]
        line = document.place(first.at, first.at_key).line
        at = f"{dotted(first.at)}: " if first.at else ""
        raise DeclarationError(
            f"{at}{first.message}", where=f"{file}:{line}", remedy="correct it"
        ) from error
