import java.io.FileInputStream;
import java.io.FileWriter;
import java.net.Socket;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.KeyStore;
import java.security.SecureRandom;
import java.security.Security;
import java.security.cert.CertificateFactory;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.util.Collections;
import javax.security.auth.x500.X500Principal;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaX509CertificateConverter;
import org.bouncycastle.est.CSRAttributesResponse;
import org.bouncycastle.est.ESTAuth;
import org.bouncycastle.est.ESTService;
import org.bouncycastle.est.EnrollmentResponse;
import org.bouncycastle.est.HttpAuth;
import org.bouncycastle.est.jcajce.ChannelBindingProvider;
import org.bouncycastle.est.jcajce.JcaJceUtils;
import org.bouncycastle.est.jcajce.JsseESTServiceBuilder;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.jsse.BCSSLSocket;
import org.bouncycastle.jsse.provider.BouncyCastleJsseProvider;
import org.bouncycastle.openssl.jcajce.JcaPEMWriter;
import org.bouncycastle.operator.ContentSigner;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.operator.jcajce.JcaDigestCalculatorProviderBuilder;
import org.bouncycastle.pkcs.PKCS10CertificationRequest;
import org.bouncycastle.pkcs.PKCS10CertificationRequestBuilder;
import org.bouncycastle.pkcs.jcajce.JcaPKCS10CertificationRequestBuilder;
import org.bouncycastle.util.encoders.Hex;

/**
 * A device with Bouncy Castle's client (org.bouncycastle.est): it fetches, enrolls and renews, and leaves
 * enrolled.pem and renewed.pem where it runs.
 *   java BouncyCastle HOST:PORT ANCHOR.pem NAME PASSWORD JSSE-PROVIDER [LABEL [MODE]]
 * With a label it proves its password there by Digest, if it is asked for that, and renews nothing. The modes:
 *   csrattrs    only print what the label wants in a request, one identifier a line, and its bytes
 *   linked      by Basic, over TLS 1.2, with the tls-unique of the connection in the request
 *   serverkeygen  by Basic, with a key that the server makes: enrolled.key
 *   pending     by Basic; told to wait it prints "waits", and asks again as soon as it may, until it is done
 */
public class BouncyCastle {
    private static final char[] NONE = new char[0];

    private final String server, anchor, name, provider, label;

    private BouncyCastle(String[] args) {
        server = args[0];
        anchor = args[1];
        name = args[2];
        provider = args[4];
        label = args.length > 5 ? args[5] : null;
    }

    public static void main(String[] args) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        Security.addProvider(new BouncyCastleJsseProvider());
        BouncyCastle device = new BouncyCastle(args);
        ESTService unknown = device.builder().build();
        if (args.length > 6) {
            ESTAuth basic = new HttpAuth(device.name, args[3].toCharArray());
            switch (args[6]) {
            case "linked":
                save("enrolled.pem", device.enrollLinked(basic));
                break;
            case "serverkeygen":
                EnrollmentResponse made =
                    unknown.simpleEnrollWithServersideCreation(device.request(newKey()), basic);
                save("enrolled.key", made.getPrivateKeyInfo());
                save("enrolled.pem", certificateOf(made));
                break;
            case "pending":
                save("enrolled.pem", device.enrollPatiently(unknown, basic));
                break;
            default:
                printAttributes(unknown.getCSRAttributes().getAttributesResponse());
            }
            return;
        }
        if (device.label != null) {
            ESTAuth digest = new HttpAuth(null, device.name, args[3].toCharArray(), new SecureRandom(),
                new JcaDigestCalculatorProviderBuilder().setProvider("BC").build());
            save("enrolled.pem", device.enroll(unknown, false, newKey(), digest));
            return;
        }
        System.out.println("cacerts: " + unknown.getCACerts().getCertificateStore().getMatches(null).size());
        System.out.println("csrattrs: " + unknown.getCSRAttributes().hasAttributesResponse());
        KeyPair key = newKey();
        X509Certificate cert = device.enroll(unknown, false, key, new HttpAuth(device.name, args[3].toCharArray()));
        save("enrolled.pem", cert);
        save("renewed.pem", device.enroll(device.known(key, cert), true, newKey(), null));
    }

    private static void printAttributes(CSRAttributesResponse wanted) throws Exception {
        for (ASN1ObjectIdentifier oid : wanted.getRequirements())
            System.out.println(oid + (wanted.isAttribute(oid) ? " with values" : ""));
        System.out.println(Hex.toHexString(wanted.getEncoded()));
    }

    private JsseESTServiceBuilder builder() throws Exception {
        try (FileInputStream in = new FileInputStream(anchor)) {
            X509Certificate cert = (X509Certificate)CertificateFactory.getInstance("X.509").generateCertificate(in);
            JsseESTServiceBuilder builder = new JsseESTServiceBuilder(server,
                JcaJceUtils.getCertPathTrustManager(Collections.singleton(new TrustAnchor(cert, null)), null));
            builder.withProvider(provider).withTimeout(60000);
            if (label != null)
                builder.withLabel(label);
            return builder;
        }
    }

    private ESTService known(KeyPair key, X509Certificate cert) throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        store.setKeyEntry("device", key.getPrivate(), NONE, new X509Certificate[] { cert });
        return builder()
            .withKeyManagers(JcaJceUtils.createKeyManagerFactory("PKIX", provider, store, NONE).getKeyManagers())
            .build();
    }

    private static KeyPair newKey() throws Exception {
        KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
        generator.initialize(256);
        return generator.generateKeyPair();
    }

    private PKCS10CertificationRequestBuilder unsigned(KeyPair key) {
        return new JcaPKCS10CertificationRequestBuilder(new X500Principal("CN=" + name), key.getPublic());
    }

    private static ContentSigner signer(KeyPair key) throws Exception {
        return new JcaContentSignerBuilder("SHA256withECDSA").build(key.getPrivate());
    }

    private PKCS10CertificationRequest request(KeyPair key) throws Exception {
        return unsigned(key).build(signer(key));
    }

    private static X509Certificate certificateOf(EnrollmentResponse response) throws Exception {
        X509CertificateHolder holder = response.getStore().getMatches(null).iterator().next();
        return new JcaX509CertificateConverter().getCertificate(holder);
    }

    private X509Certificate enroll(ESTService service, boolean renews, KeyPair key, ESTAuth auth) throws Exception {
        return certificateOf(service.simpleEnroll(renews, request(key), auth));
    }

    private X509Certificate enrollPatiently(ESTService service, ESTAuth auth) throws Exception {
        EnrollmentResponse response = service.simpleEnroll(false, request(newKey()), auth);
        while (!response.isCompleted()) {
            System.out.println("waits");
            Thread.sleep(Math.max(0, response.getNotBefore() - System.currentTimeMillis()));
            response = service.simpleEnroll(response);
        }
        return certificateOf(response);
    }

    private X509Certificate enrollLinked(ESTAuth auth) throws Exception {
        KeyPair key = newKey();
        ESTService service = builder().withTLSVersion("TLSv1.2").withChannelBindingProvider(new ChannelBindingProvider() {
            public boolean canAccessChannelBinding(Socket socket) {
                return socket instanceof BCSSLSocket;
            }

            public byte[] getChannelBinding(Socket socket, String binding) {
                return ((BCSSLSocket)socket).getConnection().getChannelBinding(binding);
            }
        }).build();
        return certificateOf(service.simpleEnrollPoP(false, unsigned(key), signer(key), auth));
    }

    private static void save(String file, Object made) throws Exception {
        try (JcaPEMWriter out = new JcaPEMWriter(new FileWriter(file))) {
            out.writeObject(made);
        }
    }
}
