import java.io.ByteArrayInputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.Key;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.util.Base64;

/**
 * Writes the stores of a host's identities: in the folder of each circle keystore.p12, truststore.p12 and identity.pem (the
 * key and its certificates, for programs other than Java), from the key in CIRCLE.p12 and CIRCLE/certificate.pem and
 * CIRCLE/authorities.pem. The password is in the file `password`. keytool would need a JVM for every certificate.
 *
 * <p>Arguments: the folder, circles.
 */
final class IdentityStores {
  private final Path folder;
  private final char[] password;

  private IdentityStores(Path folder) throws Exception {
    this.folder = folder;
    this.password = Files.readString(folder.resolve("password")).strip().toCharArray();
  }

  public static void main(String[] words) throws Exception {
    IdentityStores stores = new IdentityStores(Path.of(words[0]));
    for (int i = 1; i < words.length; i++) {
      stores.write(words[i]);
    }
  }

  private void write(String circle) throws Exception {
    Path place = folder.resolve(circle);
    Key key = KeyStore.getInstance(folder.resolve(circle + ".p12").toFile(), password).getKey("host", password);
    Certificate[] chain = certificates(place.resolve("certificate.pem"));

    KeyStore own = empty();
    // Verifies that the certificate is one of this key
    own.setKeyEntry("host", key, password, chain);
    save(own, place.resolve("keystore.p12"));

    KeyStore trusted = empty();
    Certificate[] authorities = certificates(place.resolve("authorities.pem"));
    for (int i = 0; i < authorities.length; i++) {
      trusted.setCertificateEntry("authority-" + i, authorities[i]);
    }
    save(trusted, place.resolve("truststore.p12"));

    String encoded = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(key.getEncoded());
    String pem = "-----BEGIN PRIVATE KEY-----\n" + encoded + "\n-----END PRIVATE KEY-----\n";
    Files.writeString(place.resolve("identity.pem"), pem + Files.readString(place.resolve("certificate.pem")));
  }

  private static Certificate[] certificates(Path path) throws Exception {
    byte[] pem = Files.readString(path).getBytes(StandardCharsets.US_ASCII);
    return CertificateFactory.getInstance("X.509")
        .generateCertificates(new ByteArrayInputStream(pem))
        .toArray(new Certificate[0]);
  }

  private KeyStore empty() throws Exception {
    KeyStore store = KeyStore.getInstance("PKCS12");
    store.load(null, password);
    return store;
  }

  private void save(KeyStore store, Path path) throws Exception {
    try (OutputStream file = Files.newOutputStream(path)) {
      store.store(file, password);
    }
  }
}
