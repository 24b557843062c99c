import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.TreeMap;
import org.apache.flink.configuration.GlobalConfiguration;

/** What Flink's own parser has of config.yaml in each directory: lines of DIRECTORY, KEY and VALUE (Base64) between tabs. */
public class ReadFlink {
  public static void main(String[] directories) {
    for (String directory : directories) {
      new TreeMap<>(GlobalConfiguration.loadConfiguration(directory).toMap())
          .forEach(
              (key, value) ->
                  System.out.println(
                      directory + "\t" + key + "\t"
                          + Base64.getEncoder().encodeToString(value.getBytes(StandardCharsets.UTF_8))));
    }
  }
}
