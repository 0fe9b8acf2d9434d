"""The client: servers and models, called and deployed from Python."""
from tensord.client.deploy import Deployed
from tensord.client.model import Model
from tensord.client.server import Server, connect

__all__ = ["Deployed", "Model", "Server", "connect"]
