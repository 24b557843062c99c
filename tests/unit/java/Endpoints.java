import java.lang.reflect.Constructor;
import java.lang.reflect.Modifier;
import java.util.TreeSet;
import java.util.jar.JarFile;

/** Prints method and path of every endpoint in the classes of a jar of Flink, which is also on the class path. */
public class Endpoints {
    public static void main(String[] args) throws Exception {
        Class<?> specification = Class.forName("org.apache.flink.runtime.rest.handler.RestHandlerSpecification");
        TreeSet<String> found = new TreeSet<>();
        try (JarFile jar = new JarFile(args[0])) {
            for (var entry : (Iterable<java.util.jar.JarEntry>) jar.stream()::iterator) {
                String file = entry.getName();
                if (!file.matches("org/apache/flink/(runtime|client)/.*\\.class") || file.contains("/shaded/")) {
                    continue;
                }
                Class<?> type;
                try {
                    String name = file.substring(0, file.length() - ".class".length()).replace('/', '.');
                    type = Class.forName(name, false, Endpoints.class.getClassLoader());
                } catch (LinkageError error) {
                    continue; // it needs what is not here
                }
                if (!specification.isAssignableFrom(type) || Modifier.isAbstract(type.getModifiers())) {
                    continue;
                }
                Object one = made(type);
                if (one == null) {
                    // They change the endpoints of others
                    if (!type.getSimpleName().endsWith("Decorator")) {
                        throw new IllegalStateException("cannot create " + type);
                    }
                    continue;
                }
                found.add(
                        specification.getMethod("getHttpMethod").invoke(one)
                                + " "
                                + specification.getMethod("getTargetRestEndpointURL").invoke(one));
            }
        }
        found.forEach(System.out::println);
    }

    private static Object made(Class<?> type) throws Exception {
        try {
            return type.getMethod("getInstance").invoke(null);
        } catch (NoSuchMethodException none) {
            for (Constructor<?> constructor : type.getDeclaredConstructors()) {
                if (constructor.getParameterCount() == 0 && Modifier.isPublic(constructor.getModifiers())) {
                    return constructor.newInstance();
                }
            }
            for (var field : type.getDeclaredFields()) {
                if (Modifier.isStatic(field.getModifiers()) && field.getType() == type) {
                    field.setAccessible(true);
                    return field.get(null);
                }
            }
            return null;
        }
    }
}
