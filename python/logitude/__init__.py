from ._version import __version__
from ._errors import *
from ._context import Context, default_context
from ._loss import *
from ._head import *
