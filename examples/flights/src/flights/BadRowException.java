package flights;

/** A row that is not what the data set's own format says; the message holds the row. */
public final class BadRowException extends Exception {
    private static final long serialVersionUID = 1L;

    BadRowException(String what, String row) {
        super(what + ": " + row);
    }
}
