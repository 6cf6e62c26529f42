// A part of Android's API, by its signatures alone.
@file:Suppress("UNUSED_PARAMETER", "unused")

package android.app

import android.content.Context
import android.content.Intent
import android.os.IBinder

abstract class Activity : Context()

open class Notification

class NotificationChannel(id: String, name: CharSequence, importance: Int)

class NotificationManager {
    fun createNotificationChannel(channel: NotificationChannel) = Unit

    companion object {
        const val IMPORTANCE_LOW = 2
    }
}

class PendingIntent {
    companion object {
        const val FLAG_IMMUTABLE = 67108864

        @JvmStatic fun getActivity(context: Context, code: Int, intent: Intent?, flags: Int): PendingIntent = TODO()
    }
}

abstract class Service : Context() {
    abstract fun onBind(intent: Intent?): IBinder?
    open fun onStartCommand(intent: Intent?, flags: Int, startId: Int): Int = TODO()
    open fun onTaskRemoved(rootIntent: Intent?) = Unit
    fun startForeground(id: Int, notification: Notification) = Unit
    fun startForeground(id: Int, notification: Notification, type: Int) = Unit
    fun stopSelf() = Unit

    companion object {
        const val START_NOT_STICKY = 2
    }
}
