"""A certificate authority with all that can go wrong: expired, revoked, wrong names, wrong use, chains, CRLs, OCSP, PKCS#12.

Everything is made in this process, about a millisecond each; lib.pki makes plain certificates by the openssl program.
"""
import datetime
import ipaddress
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PEM = serialization.Encoding.PEM
DER = serialization.Encoding.DER
USES = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}
KEYS = {"ec": lambda: ec.generate_private_key(ec.SECP256R1()), "ed25519": ed25519.Ed25519PrivateKey.generate,
        "rsa": lambda: rsa.generate_private_key(65537, 2048), "rsa1024": lambda: rsa.generate_private_key(65537, 1024)}


def now():
    return datetime.datetime.utcnow().replace(microsecond=0)


def days(count):
    return datetime.timedelta(days=count)


def digest_for(key):
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


def key_pem(key, passphrase=None):
    lock = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, lock)


class Identity(NamedTuple):
    """Files of a certificate (with its chain), its key, both in one; and the objects they were made of."""
    cert: Path
    key: Path
    both: Path
    x509: x509.Certificate
    private: object

    @property
    def sha256(self):
        return self.x509.fingerprint(hashes.SHA256()).hex()

    @property
    def spki(self):
        der = self.x509.public_key().public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        digest = hashes.Hash(hashes.SHA256())
        digest.update(der)
        return digest.finalize().hex()

    def pair(self, **more):
        """As a config's `certificates` has it."""
        return {"cert": str(self.cert), "key": str(self.key), **more}

    def locked_key(self, passphrase):
        """The key encrypted, and a file with the passphrase."""
        path, word = self.key.with_suffix(".locked"), self.key.with_suffix(".pass")
        path.write_bytes(key_pem(self.private, passphrase))
        word.write_text(passphrase + "\n")
        return path, word

    def pkcs12(self, passphrase=None):
        path = self.key.with_suffix(".p12")
        lock = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
        path.write_bytes(pkcs12.serialize_key_and_certificates(b"me", self.private, self.x509, None, lock))
        return path


class Authority:
    """`cert` is its own certificate's file; `parent` signs it, by default it does so itself."""

    def __init__(self, folder, name="root", parent=None, start=-10, end=100):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key, self.parent, self.made = KEYS["ec"](), parent, 0
        signer = parent or self
        self.x509 = (
            x509.CertificateBuilder().subject_name(self.name).issuer_name(signer.name).public_key(self.key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now() + days(start)).not_valid_after(now() + days(end))
            .add_extension(x509.BasicConstraints(True, None), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()), False)
            .sign(signer.key, hashes.SHA256()))
        self.cert = self.folder / f"{name}.ca.pem"
        self.cert.write_bytes(self.pem())

    def pem(self):
        return self.x509.public_bytes(PEM)

    def chain(self):
        """What a server sends behind its own certificate: up to, and without, the root."""
        return self.pem() + self.parent.chain() if self.parent else b""

    def issue(self, name="a.test", dns=None, uri=(), email=(), ip=(), start=-1, end=30, key="ec", uses=("server", "client")):
        """An Identity; `dns` is [name] unless given. start and end in days from now."""
        private = KEYS[key]() if isinstance(key, str) else key
        alt = [x509.DNSName(n) for n in ([name] if dns is None else dns)]
        alt += [x509.UniformResourceIdentifier(u) for u in uri] + [x509.RFC822Name(e) for e in email]
        alt += [x509.IPAddress(ipaddress.ip_address(i)) for i in ip]
        builder = (
            x509.CertificateBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])]))
            .issuer_name(self.name).public_key(private.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now() + days(start)).not_valid_after(now() + days(end))
            .add_extension(x509.ExtendedKeyUsage([USES[use] for use in uses]), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False))
        if alt:
            builder = builder.add_extension(x509.SubjectAlternativeName(alt), False)
        return self._write(name, builder.sign(self.key, hashes.SHA256()), private)

    def _write(self, name, cert, private):
        self.made += 1
        base = self.folder / f"{self.made}-{name[:40].replace('*', 'any').replace('/', '_')}"
        files = [base.with_name(base.name + end) for end in (".crt", ".key", ".pem")]
        pem = cert.public_bytes(PEM) + self.chain()
        files[0].write_bytes(pem)
        files[1].write_bytes(key_pem(private))
        files[2].write_bytes(pem + key_pem(private))
        return Identity(*files, cert, private)

    def crl(self, *revoked, start=-1, end=10, name="list.crl"):
        """The file of a list that has these identities (or authorities) on it."""
        builder = (x509.CertificateRevocationListBuilder().issuer_name(self.name)
                   .last_update(now() + days(start)).next_update(now() + days(end)))
        for identity in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(identity.x509.serial_number).revocation_date(now()).build())
        path = self.folder / name
        path.write_bytes(builder.sign(self.key, hashes.SHA256()).public_bytes(PEM))
        return path

    def ocsp(self, identity, status="GOOD", start=-1, end=3, signer=None, name="staple.der"):
        """The file of an OCSP response about the identity."""
        good = status == "GOOD"
        response = ocsp.OCSPResponseBuilder().add_response(
            cert=identity.x509, issuer=self.x509, algorithm=hashes.SHA1(), cert_status=ocsp.OCSPCertStatus[status],
            this_update=now() + days(start), next_update=now() + days(end), revocation_time=None if good else now(),
            revocation_reason=None).responder_id(ocsp.OCSPResponderEncoding.HASH, self.x509).sign((signer or self).key, hashes.SHA256())
        path = self.folder / name
        path.write_bytes(response.public_bytes(DER))
        return path
