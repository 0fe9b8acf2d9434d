"""Certificates, made on the spot: authorities, servers, clients, good ones and bad ones."""
import datetime
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)
LOCALHOST = (x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1")))


class Identity:
    """A certificate and its key, as PEM files NAME.crt and NAME.key in the folder."""

    def __init__(self, folder, name, issuer=None, names=(), days=(-1, 30), authority=False):
        self.certificate_path, self.key_path = (Path(folder) / f"{name}{end}" for end in (".crt", ".key"))
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.timezone.utc)
        signer = issuer or self
        builder = (x509.CertificateBuilder().subject_name(self.subject).issuer_name(signer.subject)
                   .public_key(self.key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(now + days[0] * DAY).not_valid_after(now + days[1] * DAY)
                   .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), False)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()), False))
        if authority:
            usage = dict.fromkeys(("digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
                                   "key_agreement", "encipher_only", "decipher_only"), False)
            builder = builder.add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), True)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
        self.certificate = builder.sign(signer.key, hashes.SHA256())
        self.write(self.certificate_path, self.key_path)

    @property
    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def write(self, certificate_path, key_path):
        """Puts the files there, each in one step."""
        key = self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                     serialization.NoEncryption())
        for path, data in ((Path(certificate_path), self.pem), (Path(key_path), key)):
            part = path.with_suffix(".part")
            part.touch(mode=0o600)
            part.write_bytes(data)
            part.rename(path)

    @property
    def flags(self):
        """For `tensord serve`."""
        return "--tls-cert", self.certificate_path, "--tls-key", self.key_path


def authority(folder, name="authority"):
    return Identity(folder, name, authority=True)


def server(folder, issuer, name="server"):
    """Good for localhost."""
    return Identity(folder, name, issuer, LOCALHOST)


def trusting(*authorities, identity=None, protocols=()):
    """A client's ssl.SSLContext."""
    context = ssl.create_default_context(cadata="".join(one.pem.decode() for one in authorities))
    if identity:
        context.load_cert_chain(identity.certificate_path, identity.key_path)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context
