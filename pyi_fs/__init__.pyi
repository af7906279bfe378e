from pyi_fs.api import Workspace as Workspace

__version__: str
