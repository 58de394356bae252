import inspect

import pytest

from advgen import errors

FAMILY = [cls for _, cls in inspect.getmembers(errors, inspect.isclass)]


@pytest.mark.parametrize("error", FAMILY)
def test_every_error_is_in_the_family_and_says_what_state_it_names(error):
    assert issubclass(error, errors.AdvgenError)
    assert not issubclass(error, ValueError)
    assert error.__doc__
