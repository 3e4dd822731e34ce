import static java.nio.charset.StandardCharsets.UTF_8;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.MethodDescriptor;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCalls;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;

/**
 * A stock gRPC client: for each line {@code NUMBER TARGET} on stdin it makes so many calls, one after the other, and prints who
 * answered, in JSON.
 */
public final class Client {
  /** Longer than a client waits for a resource, so that what ends a call is never its deadline. */
  private static final int DEADLINE_S = 20;

  private static final MethodDescriptor<byte[], byte[]> ASK =
      MethodDescriptor.<byte[], byte[]>newBuilder()
          .setType(MethodDescriptor.MethodType.UNARY)
          .setFullMethodName("demo.Where/Ask")
          .setRequestMarshaller(new Raw())
          .setResponseMarshaller(new Raw())
          .build();

  public static void main(String[] arguments) throws IOException {
    Map<String, Channel> channels = new HashMap<>();
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      String[] words = line.split(" ");
      Channel channel = channels.computeIfAbsent(words[1], Client::dial);
      Map<String, Integer> places = new TreeMap<>();
      for (int number = Integer.parseInt(words[0]); number > 0; number--) {
        places.merge(ask(channel), 1, Integer::sum);
      }
      System.out.println(json(places));
    }
    System.exit(0); // the channels' threads would keep it alive
  }

  private static Channel dial(String target) {
    return Grpc.newChannelBuilder(target, InsecureChannelCredentials.create()).build();
  }

  private static String ask(Channel channel) {
    CallOptions options = CallOptions.DEFAULT.withDeadlineAfter(DEADLINE_S, TimeUnit.SECONDS);
    try {
      return new String(ClientCalls.blockingUnaryCall(channel, ASK, options, new byte[0]), UTF_8);
    } catch (StatusRuntimeException failure) {
      return failure.getStatus().getCode() + ": " + failure.getStatus().getDescription();
    }
  }

  private static String json(Map<String, Integer> places) {
    return places.entrySet().stream()
        .map(place -> '"' + escaped(place.getKey()) + "\": " + place.getValue())
        .collect(Collectors.joining(", ", "{", "}"));
  }

  private static String escaped(String text) {
    return text.replace("\\", "\\\\").replace("\"", "\\\"").replaceAll("\\p{Cntrl}", " ");
  }

  /** Passes bytes through. */
  private static final class Raw implements MethodDescriptor.Marshaller<byte[]> {
    @Override
    public InputStream stream(byte[] message) {
      return new ByteArrayInputStream(message);
    }

    @Override
    public byte[] parse(InputStream stream) {
      try {
        return stream.readAllBytes();
      } catch (IOException failure) {
        throw new UncheckedIOException(failure);
      }
    }
  }
}
