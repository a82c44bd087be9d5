"""A world for each test, as the tests of the services have it."""

from service.conftest import applied as applied
from service.conftest import world as world
