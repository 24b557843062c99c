import java.io.File;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.FallbackKey;
import org.apache.flink.configuration.GlobalConfiguration;

/**
 * Prints what the release's classes say of its options: `option KEY TYPE`, `replaced OLD NEW`, `sensitive TEXT`, in
 * order. Arguments: the release's jars; its `flink-dist` is in the class path.
 */
public class FlinkOptions {
  /** The type of a field in a class file: most classes have none, and need not be loaded. */
  private static final String FIELD = "Lorg/apache/flink/configuration/ConfigOption;";

  public static void main(String[] jars) throws Exception {
    List<URL> urls = new ArrayList<>();
    for (String jar : jars) {
      urls.add(new File(jar).toURI().toURL());
    }
    TreeMap<String, String> options = new TreeMap<>();
    TreeMap<String, String> replaced = new TreeMap<>();
    ClassLoader all = new URLClassLoader(urls.toArray(new URL[0]), FlinkOptions.class.getClassLoader());
    for (String jar : jars) {
      try (ZipFile file = new ZipFile(jar)) {
        for (String name : new TreeSet<>(file.stream().map(ZipEntry::getName).toList())) {
          if (name.startsWith("org/apache/flink/")
              && name.endsWith(".class")
              && !name.contains("/shaded/")
              && new String(file.getInputStream(file.getEntry(name)).readAllBytes(), StandardCharsets.ISO_8859_1)
                  .contains(FIELD)) {
            read(name.replace('/', '.').substring(0, name.length() - 6), all, options, replaced);
          }
        }
      }
    }
    options.forEach((key, type) -> System.out.println("option " + key + " " + type));
    replaced.forEach((key, now) -> System.out.println("replaced " + key + " " + now));
    Field sensitive = GlobalConfiguration.class.getDeclaredField("SENSITIVE_KEYS");
    sensitive.setAccessible(true);
    for (Object text : (Object[]) sensitive.get(null)) {
      System.out.println("sensitive " + text);
    }
  }

  private static void read(
      String name, ClassLoader loader, TreeMap<String, String> options, TreeMap<String, String> replaced) {
    try {
      for (Field field : Class.forName(name, false, loader).getDeclaredFields()) {
        if (Modifier.isStatic(field.getModifiers()) && field.getType() == ConfigOption.class) {
          field.setAccessible(true);
          ConfigOption<?> option = (ConfigOption<?>) field.get(null);
          if (option == null) {
            continue;
          }
          options.put(option.key(), type(option));
          for (FallbackKey old : option.fallbackKeys()) {
            replaced.put(old.getKey(), option.key());
          }
        }
      }
    } catch (Throwable error) {
      // A class of what the release does not have: a logging library, say
    }
  }

  private static String type(ConfigOption<?> option) throws ReflectiveOperationException {
    var clazz = ConfigOption.class.getDeclaredMethod("getClazz");
    var list = ConfigOption.class.getDeclaredMethod("isList");
    clazz.setAccessible(true);
    list.setAccessible(true);
    Class<?> of = (Class<?>) clazz.invoke(option);
    return (boolean) list.invoke(option) ? "list" : of.isEnum() ? "enum" : of.getSimpleName().toLowerCase();
  }
}
