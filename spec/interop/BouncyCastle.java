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
import org.bouncycastle.est.HttpAuth;
import org.bouncycastle.est.jcajce.ChannelBindingProvider;
import org.bouncycastle.est.jcajce.JcaJceUtils;
import org.bouncycastle.est.jcajce.JsseESTServiceBuilder;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.jsse.BCSSLSocket;
import org.bouncycastle.jsse.provider.BouncyCastleJsseProvider;
import org.bouncycastle.openssl.jcajce.JcaPEMWriter;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.operator.jcajce.JcaDigestCalculatorProviderBuilder;
import org.bouncycastle.pkcs.PKCS10CertificationRequest;
import org.bouncycastle.pkcs.jcajce.JcaPKCS10CertificationRequestBuilder;
import org.bouncycastle.util.encoders.Hex;

/**
 * A device with Bouncy Castle's client (org.bouncycastle.est): it fetches, enrolls and renews, and leaves
 * enrolled.pem and renewed.pem where it runs.
 *   java BouncyCastle HOST:PORT ANCHOR.pem NAME PASSWORD JSSE-PROVIDER [LABEL [csrattrs|linked]]
 * With a label it proves its password there by Digest, if it is asked for that, and renews nothing; with
 * csrattrs it only prints what the label wants in a request, one identifier a line, and its bytes; linked: by
 * Basic, over TLS 1.2, and its request has the tls-unique of the connection.
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
            if (args[6].equals("linked"))
                save("enrolled.pem", device.enrollLinked(args[3]));
            else
                printAttributes(unknown.getCSRAttributes().getAttributesResponse());
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

    private X509Certificate enroll(ESTService service, boolean renews, KeyPair key, ESTAuth auth) throws Exception {
        PKCS10CertificationRequest csr =
            new JcaPKCS10CertificationRequestBuilder(new X500Principal("CN=" + name), key.getPublic())
                .build(new JcaContentSignerBuilder("SHA256withECDSA").build(key.getPrivate()));
        X509CertificateHolder holder =
            service.simpleEnroll(renews, csr, auth).getStore().getMatches(null).iterator().next();
        return new JcaX509CertificateConverter().getCertificate(holder);
    }

    private X509Certificate enrollLinked(String password) throws Exception {
        KeyPair key = newKey();
        ESTService service = builder().withTLSVersion("TLSv1.2").withChannelBindingProvider(new ChannelBindingProvider() {
            public boolean canAccessChannelBinding(Socket socket) {
                return socket instanceof BCSSLSocket;
            }

            public byte[] getChannelBinding(Socket socket, String binding) {
                return ((BCSSLSocket)socket).getConnection().getChannelBinding(binding);
            }
        }).build();
        X509CertificateHolder holder = service.simpleEnrollPoP(false,
                new JcaPKCS10CertificationRequestBuilder(new X500Principal("CN=" + name), key.getPublic()),
                new JcaContentSignerBuilder("SHA256withECDSA").build(key.getPrivate()),
                new HttpAuth(name, password.toCharArray()))
            .getStore().getMatches(null).iterator().next();
        return new JcaX509CertificateConverter().getCertificate(holder);
    }

    private static void save(String file, X509Certificate cert) throws Exception {
        try (JcaPEMWriter out = new JcaPEMWriter(new FileWriter(file))) {
            out.writeObject(cert);
        }
    }
}
